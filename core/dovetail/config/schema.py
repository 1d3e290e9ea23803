"""A JSON Schema of the whole config file, for editors.

Editors complete and explain what stands under `properties`, so the keys stand there; what is right
or wrong is said by conditions on `use`, whose errors name the key that is meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dovetail.config.entries import DEFAULT_STORE, PART_KINDS, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

JsonSchema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {"$ref": "#/$defs/reference"}
_OPTIONAL = {
    "type": "boolean",
    "default": False,
    "description": "Whether everything else may start without it when it fails.",
}
_TAGS: JsonSchema = {
    "type": "array",
    "items": {"type": "string", "minLength": 1},
    "default": [],
    "description": "Words by which services and tools may ask for it.",
}
_NO_SETTINGS: JsonSchema = {"type": "object", "properties": {}, "additionalProperties": False}
_TEXT_LIMITS = {"pattern", "format", "enum", "minLength", "maxLength"}


def config_schema(
    components: Iterable[Mapping[str, Any]],
    *,
    chat: JsonSchema,
    kernel: JsonSchema,
    sessions: JsonSchema,
    bus: JsonSchema,
    pipeline: JsonSchema,
    persona: JsonSchema,
) -> JsonSchema:
    """The JSON Schema (2020-12) of a config file in which exactly `components` can be used.

    Each of `components` has `plugin`, `component` (its name, or `None`), `kind` ("provider",
    "middleware", "sessions", "shared", "dependencies", "service" or "stage") and
    `settings_schema`, which is `None` where it takes no settings. The others are the schemas of the
    kernel's own tables.
    """
    writer = _Writer(list(components))
    properties = {
        "chat": writer.define("chat", chat),
        "kernel": writer.define("kernel", kernel),
        "providers": writer.providers(),
        "middleware": writer.middleware(),
        "sessions": writer.sessions(sessions),
        "plugins": writer.plugins(),
        "bus": writer.define("bus", bus),
        "pipeline": writer.define("pipeline", pipeline),
        "personas": {
            "type": "object",
            "description": "Who answers, each under a name of its own.",
            "additionalProperties": writer.define("persona", persona),
        },
    }
    return {
        "$schema": _DIALECT,
        "title": "dovetail.toml",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": writer.definitions,
    }


class _Writer:
    """Writes the tables, and collects what they refer to."""

    def __init__(self, components: list[Mapping[str, Any]]) -> None:
        self._components = components
        self.definitions: JsonSchema = {
            "reference": {
                "type": "string",
                "pattern": r"\$\{",
                "description": "Taken from the environment: ${NAME} or ${NAME:-default}.",
            }
        }

    def define(self, name: str, schema: JsonSchema, shared: JsonSchema | None = None) -> JsonSchema:
        """Keep `schema` as a definition called `name`, its own definitions beside it.

        It may also have the keys of `shared`, which is a definition already.
        """
        schema = _rename(schema, lambda inner: _safe(f"{name}.{inner}"))
        for inner, definition in schema.pop("$defs", {}).items():
            self.definitions[_safe(f"{name}.{inner}")] = _or_reference(definition)
        definition = _or_reference(schema)
        inherited = (shared or {}).get("properties", {})
        definition["properties"] = {**inherited, **definition.get("properties", {})}
        self.definitions[_safe(name)] = definition
        return {"$ref": f"#/$defs/{_safe(name)}"}

    def providers(self) -> JsonSchema:
        """`[providers.NAME]`: an instance named like a plugin may leave out `use`."""
        uses = self._uses("provider")
        self.definitions["provider"] = _by_use(uses, default=None)
        named = {
            plugin: self._offering(_named(plugin, schema), schema)
            for plugin, schema in uses.items()
            if ":" not in plugin
        }
        return {
            "type": "object",
            "description": "The models' providers, each under a name of its own.",
            "properties": named,
            "additionalProperties": {"$ref": "#/$defs/provider"},
        }

    def middleware(self) -> JsonSchema:
        """`[[middleware]]`, each of which says `use`."""
        return {
            "type": "array",
            "description": "What stands around each turn and model call, outermost first.",
            "items": _by_use(self._uses("middleware"), default=None),
        }

    def sessions(self, own: JsonSchema) -> JsonSchema:
        """`[sessions]`: the manager's keys beside those of the store that `use` names."""
        self.define("sessions", own)
        shared = self.definitions["sessions"]
        uses = self._uses("sessions", shared)
        if DEFAULT_STORE not in uses:
            uses = {DEFAULT_STORE: self._component("sessions", DEFAULT_STORE, None, shared), **uses}
        table = _by_use(uses, default=DEFAULT_STORE)
        table["description"] = shared.get("description", "Where conversations are kept.")
        return self._offering(table, uses[DEFAULT_STORE])

    def plugins(self) -> JsonSchema:
        """`[plugins.ID]`, for every plugin there is."""
        plugins = dict.fromkeys(component["plugin"] for component in self._components)
        return {
            "type": "object",
            "description": "What a plugin's components share, and its parts that act by themselves",
            "properties": {plugin: self._parts(plugin) for plugin in plugins},
            "additionalProperties": False,
        }

    def _parts(self, plugin: str) -> JsonSchema:
        parts = {
            component["component"]: component["settings_schema"]
            for component in self._components
            if component["plugin"] == plugin
            and component["kind"] in PART_KINDS
            and component["settings_schema"] is not None
        }
        places = {name: place_of(plugin, name, list(parts)) for name in parts}
        own = next((parts[name] for name, place in places.items() if not place), None)
        tables = {
            name: self.define(f"plugin.{plugin}.{name}", schema)
            for name, schema in parts.items()
            if places[name]
        }
        return self._component(f"plugin.{plugin}", None, own, {"properties": tables})

    def _uses(self, kind: str, shared: JsonSchema | None = None) -> dict[str, JsonSchema]:
        """What `use` may say for this kind of table, and the schema of the table then.

        A plugin's id alone means its only component of the kind, or the one of the same name.
        """
        of_kind = [component for component in self._components if component["kind"] == kind]
        uses: dict[str, JsonSchema] = {}
        for component in of_kind:
            plugin, name = component["plugin"], component["component"]
            count = sum(other["plugin"] == plugin for other in of_kind)
            full = f"{plugin}:{name}" if name else plugin
            schema = self._component(f"{kind}.{full}", full, component["settings_schema"], shared)
            if count == 1 or name == plugin:
                uses[plugin] = schema
            uses[full] = schema
        return uses

    def _component(
        self,
        name: str,
        use: str | None,
        settings: JsonSchema | None,
        shared: JsonSchema | None = None,
    ) -> JsonSchema:
        """A table with the component's settings, the kernel's own keys, and no others."""
        schema = dict(settings or _NO_SETTINGS)
        own: JsonSchema = {"optional": _OPTIONAL}
        if name.startswith("provider."):
            own["tags"] = _TAGS
        if use is not None:
            own["use"] = {"type": "string", "description": "Which plugin: its id, or id:component."}
        schema["properties"] = {**own, **schema.get("properties", {})}
        return self.define(name, schema, shared)

    def _offering(self, table: JsonSchema, component: JsonSchema) -> JsonSchema:
        """`table` with the keys of `component` named without any rule, for the editor to offer."""
        definition = self.definitions[component["$ref"].removeprefix("#/$defs/")]
        keys = {
            key: {"description": schema["description"]} if "description" in schema else {}
            for key, schema in definition["properties"].items()
        }
        return {**table, "properties": {**keys, **table.get("properties", {})}}


def _named(plugin: str, schema: JsonSchema) -> JsonSchema:
    """An instance that is named like `plugin`, and is that plugin's unless `use` says otherwise."""
    condition = {"properties": {"use": {"const": plugin}}}
    otherwise = {"$ref": "#/$defs/provider"}
    return {"type": "object", "if": condition, "then": schema, "else": otherwise}


def _by_use(uses: dict[str, JsonSchema], default: str | None) -> JsonSchema:
    """A table whose keys depend on what `use` says; without `default`, it has to say something."""
    conditions = []
    for use, schema in uses.items():
        condition: JsonSchema = {"properties": {"use": {"const": use}}}
        if use != default:
            condition["required"] = ["use"]
        conditions.append({"if": condition, "then": schema})
    table: JsonSchema = {
        "type": "object",
        "properties": {"use": {"enum": list(uses), "description": "Which plugin."}},
        "allOf": conditions,
    }
    if default is None:
        table["required"] = ["use"]
    return table


def _rename(schema: Any, name: Callable[[str], str]) -> Any:
    """A copy of `schema` in which every reference to a definition has its new name."""
    if isinstance(schema, list):
        return [_rename(item, name) for item in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: _rename(value, name) for key, value in schema.items()}
    prefix = "#/$defs/"
    if isinstance(reference := copy.get("$ref"), str):
        copy["$ref"] = prefix + name(reference.removeprefix(prefix))
    discriminator = copy.get("discriminator")
    if isinstance(discriminator, dict) and isinstance(discriminator.get("mapping"), dict):
        mapping = discriminator["mapping"].items()
        renamed = {tag: prefix + name(str(ref).removeprefix(prefix)) for tag, ref in mapping}
        copy["discriminator"] = {**discriminator, "mapping": renamed}
    return copy


def _or_reference(schema: JsonSchema) -> JsonSchema:
    """`schema`, whose keys may hold a `${NAME}` too where they are no free text."""
    result = dict(schema)
    if isinstance(properties := schema.get("properties"), dict):
        result["properties"] = {key: _value(value) for key, value in properties.items()}
    if isinstance(items := schema.get("items"), dict):
        result["items"] = _value(items)
    if isinstance(more := schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _value(more)
    return result


def _value(schema: JsonSchema) -> JsonSchema:
    """`schema` for a single value, or a reference in its place; what describes it stays outside."""
    inner = _or_reference(schema)
    kind = inner.get("type")
    limited = kind == "string" and not _TEXT_LIMITS.isdisjoint(inner)
    if not (kind in {"integer", "number", "boolean"} or limited or "anyOf" in inner):
        return inner
    if "const" in inner:  # it tells the members of a union apart
        return inner
    outside: JsonSchema = {
        key: inner.pop(key) for key in ("title", "description", "default") if key in inner
    }
    if "anyOf" in inner and len(inner) == 1:
        return {**outside, "anyOf": [*inner["anyOf"], _REFERENCE]}
    return {**outside, "anyOf": [inner, _REFERENCE]}


def _safe(name: str) -> str:
    """`name` as it can stand in a reference without being escaped."""
    return re.sub(r"[^\w.-]", ".", name, flags=re.ASCII)
