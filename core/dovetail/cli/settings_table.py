"""A component's settings as a person reads them: name, type, default, what they are for."""

from __future__ import annotations

import json
from typing import Any

from dovetail.config.rendering import render
from dovetail.redaction import MASK, looks_secret, redact

JsonSchema = dict[str, Any]
LONGEST_DEFAULT = 60
MOST_CHOICES = 8


def setting_rows(schema: JsonSchema | None) -> list[dict[str, Any]]:
    """A row for each setting of a Settings model, given by its JSON Schema; None has none."""
    if schema is None:
        return []
    required = schema.get("required", [])
    definitions = schema.get("$defs", {})
    return [
        _row(name, property_, definitions, required=name in required)
        for name, property_ in schema.get("properties", {}).items()
    ]


def _row(
    name: str, schema: JsonSchema, definitions: JsonSchema, *, required: bool
) -> dict[str, Any]:
    resolved = _resolve(schema, definitions)
    secret = _is_secret(schema, definitions) or looks_secret(name)
    return {
        "name": name,
        "type": type_name(schema, definitions),
        "default": "" if required else _default(schema, secret=secret),
        "required": required,
        "secret": secret,
        "description": " ".join(
            str(schema.get("description") or resolved.get("description") or "").split()
        ),
    }


def type_name(schema: JsonSchema, definitions: JsonSchema) -> str:
    """The type in a few words: `integer`, `list of string`, `"auto" or "never"`."""
    schema = _resolve(schema, definitions)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        choices = [json.dumps(choice) for choice in schema["enum"][:MOST_CHOICES]]
        return " or ".join([*choices, *(["…"] if len(schema["enum"]) > MOST_CHOICES else [])])
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            names = (type_name(one, definitions) for one in schema[keyword])
            return " or ".join(dict.fromkeys(name for name in names if name != "null"))
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {type_name(schema.get('items', {}), definitions)}"
    return {"object": "table"}.get(kind, kind)


def _default(schema: JsonSchema, *, secret: bool) -> str:
    default = schema.get("default")
    if default is None:
        return "none"
    return MASK if secret and default != "" else redact(render(default, LONGEST_DEFAULT))


def _is_secret(schema: JsonSchema, definitions: JsonSchema) -> bool:
    schema = _resolve(schema, definitions)
    if schema.get("format") == "password" or schema.get("writeOnly"):
        return True
    alternatives = [
        one for keyword in ("anyOf", "oneOf", "allOf") for one in schema.get(keyword, ())
    ]
    return any(_is_secret(one, definitions) for one in alternatives)


def _resolve(schema: JsonSchema, definitions: JsonSchema) -> JsonSchema:
    """What a reference refers to."""
    if "$ref" not in schema:
        return schema
    found: JsonSchema = definitions.get(str(schema["$ref"]).rpartition("/")[2], {})
    return found
