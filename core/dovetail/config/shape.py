"""What a Settings model takes: its keys, what they mean, and which of them are secret.

Read from the model's JSON Schema, which says it the same way for nested models, dataclasses, lists,
unions and everything else that pydantic can hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from dovetail.config.raw import leaves

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic import BaseModel
    from pydantic_core import core_schema

    from dovetail.config.places import KeyPath

JsonSchema = dict[str, Any]


class Lenient(GenerateJsonSchema):
    """Leaves open what JSON Schema cannot say, rather than giving no schema at all."""

    # A SecretStr's default is never written into a schema, and that is as it should be.
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}

    def handle_invalid_for_json_schema(
        self, schema: core_schema.CoreSchema, error_info: str
    ) -> JsonSchema:
        """What is said of it: nothing, so that anything will do."""
        return {}


def settings_schema(model: type[BaseModel]) -> JsonSchema:
    """The JSON Schema of what an operator may write for `model`."""
    return model.model_json_schema(mode="validation", schema_generator=Lenient)


def secret_paths(
    model: type[BaseModel], values: Mapping[str, object], path: KeyPath = ()
) -> frozenset[KeyPath]:
    """The paths of all values in `values` that `model` declares as secret (`SecretStr`).

    `path` is where in the config `values` stand, and begins each of the paths given.
    """
    shape = Shape(model)
    return frozenset((*path, *below) for below, _ in leaves(dict(values)) if shape.is_secret(below))


class Shape:
    """Answers questions about single keys of a Settings model, by their path within it."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._root = settings_schema(model)

    def keys(self, path: KeyPath) -> list[str]:
        """The keys that the table at `path` may have."""
        return [key for schema in self._at(path) for key in schema.get("properties", ())]

    def description(self, path: KeyPath) -> str:
        """What the model says the value is for; empty if it says nothing."""
        above = self._at(path[:-1])
        for schema in (*(found for s in above for found in _child(s, path[-1])), *self._at(path)):
            if text := schema.get("description"):
                return " ".join(str(text).split())
        return ""

    def choices(self, path: KeyPath) -> list[str]:
        """The texts it has to be one of, if it has to be one of some."""
        return [
            choice
            for schema in self._at(path)
            for choice in (*schema.get("enum", ()), schema.get("const"))
            if isinstance(choice, str)
        ]

    def is_secret(self, path: KeyPath) -> bool:
        """Whether the value, or one that it is part of, is declared as secret."""
        return any(
            schema.get("format") == "password" or schema.get("writeOnly")
            for end in range(len(path) + 1)
            for schema in self._at(path[:end])
        )

    def _at(self, path: KeyPath) -> list[JsonSchema]:
        """Every schema that has a say on the value at `path`."""
        found = list(self._spread([self._root]))
        for key in path:
            found = list(self._spread(child for schema in found for child in _child(schema, key)))
        return found

    def _spread(self, schemas: Iterable[JsonSchema]) -> Iterator[JsonSchema]:
        """The schemas, those they refer to and their alternatives, each once."""
        waiting = list(schemas)
        seen: set[int] = set()
        while waiting:
            schema = waiting.pop(0)
            if id(schema) in seen:
                continue
            seen.add(id(schema))
            yield schema
            if "$ref" in schema:
                name = schema["$ref"].rpartition("/")[2]
                waiting.append(self._root["$defs"][name])
            for keyword in ("anyOf", "oneOf", "allOf"):
                waiting.extend(schema.get(keyword, ()))


def _child(schema: JsonSchema, key: str | int) -> Iterator[JsonSchema]:
    """What `schema` itself says of its item `key`."""
    if isinstance(key, int):
        first = schema.get("prefixItems", [])
        child = first[key] if key < len(first) else schema.get("items")
    else:
        child = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
    if isinstance(child, dict):
        yield child
