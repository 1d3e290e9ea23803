"""The JSON Schema of a model together with its metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, AliasPath
from pydantic_core import to_jsonable_python

from dovetail.config.shape import Lenient
from dovetail.metadata.markers import markers_of

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo
    from pydantic_core import core_schema

    from dovetail.metadata.model import MetadataModel

JsonSchema = dict[str, Any]


def described(model: type[MetadataModel]) -> JsonSchema:
    """The JSON Schema of `model`, its fields and the models in it, each with `metadata`."""
    schema = model.model_json_schema(schema_generator=_Described)
    # Of a model that holds itself there is only a reference at the top.
    schema["metadata"] = model.get_metadata()
    plain: JsonSchema = to_jsonable_python(schema, inf_nan_mode="null", fallback=_named)
    return plain


class _Described(Lenient):
    """Says of every model and field what metadata it has."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchema:
        described = super().model_schema(schema)
        model = schema["cls"]
        if (get_metadata := getattr(model, "get_metadata", None)) is not None:
            described["metadata"] = get_metadata()
        properties = described.get("properties", {})
        for name, field in model.model_fields.items():
            key = next((key for key in _keys(model, name, field) if key in properties), None)
            if key is not None:
                # A copy, because pydantic may use one schema for several fields.
                properties[key] = {**properties[key], "metadata": _metadata(field)}
        return described


def _metadata(field: FieldInfo) -> dict[str, Any]:
    extra = field.json_schema_extra
    metadata: dict[str, Any] = dict(extra) if isinstance(extra, dict) else {}
    for mark in markers_of(field):
        metadata |= mark.described()
    return metadata


def _keys(model: type[BaseModel], name: str, field: FieldInfo) -> list[str]:
    """What the field may be called in the schema: its first alias of a single word, or its name."""
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    paths = [choice.path if isinstance(choice, AliasPath) else [choice] for choice in choices]
    words = [path[0] for path in paths if len(path) == 1]
    keys = [*[word for word in words if isinstance(word, str)][:1], name]
    # Which one it is where aliases are not taken depends on the version of pydantic.
    return keys[::-1] if model.model_config.get("validate_by_alias") is False else keys


def _named(value: object) -> str:
    return f"<{getattr(value, '__qualname__', type(value).__name__)}>"
