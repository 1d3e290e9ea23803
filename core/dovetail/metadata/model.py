"""Models that say what they are for: `AIMetadata` and `MetadataModel`."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from dovetail.chat.messages import JsonObject, Model
from dovetail.context import ExecutionContext
from dovetail.metadata.describing import described
from dovetail.metadata.markers import check_markers
from dovetail.metadata.transforming import transformed


class AIMetadata(Model):
    """What a language model, or what chooses for it, should know of a model or a function."""

    description: str = ""
    """What it is for."""
    examples: tuple[JsonObject, ...] = ()
    """Values it may have, or arguments it may be called with."""
    generated_by: str | None = None
    """What wrote this description, if it was no person."""
    tags: tuple[str, ...] = ()
    priority: int = 0
    """The higher, the sooner it is considered."""
    requires_context: bool = False
    """Whether it needs an `ExecutionContext`."""
    provides_context: bool = False
    """Whether what it gives belongs into the context of what follows."""


class MetadataModel(BaseModel):
    """A model that describes itself, and that shows itself differently in different contexts.

    `__metadata__` says what the model is; what a base says holds too, key by key. Under `ai` is an
    `AIMetadata`. Unknown fields are refused.

    Raises:
        TypeError: when the class is defined, if a marked field has no default, or a marker stands
            inside a field's type instead of around it, or `ai` is no `AIMetadata`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    __metadata__: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        """Refuse what would only fail when it is used."""
        ai = vars(cls).get("__metadata__", {}).get("ai")
        if ai is not None and not isinstance(ai, AIMetadata):
            message = (
                f'`{cls.__qualname__}.__metadata__["ai"]` is a {type(ai).__name__}; '
                "it should be an AIMetadata"
            )
            raise TypeError(message)
        check_markers(cls)

    @classmethod
    def get_metadata(cls) -> dict[str, Any]:
        """What this class and its bases say in `__metadata__`; `ai` is always there."""
        return {**cls._declared(), "ai": cls.get_ai_metadata()}

    @classmethod
    def get_ai_metadata(cls) -> AIMetadata:
        """The `AIMetadata` of the model.

        Where this class gives no description there, it is the first paragraph of its docstring;
        where it has none, what a base gives.
        """
        ai: AIMetadata = cls._declared().get("ai") or AIMetadata()
        written = cls.__pydantic_generic_metadata__["origin"] or cls
        if ai.description and "ai" in vars(written).get("__metadata__", {}):
            return ai
        doc = vars(written).get("__doc__") if written is not MetadataModel else None
        paragraph = inspect.cleandoc(doc or "").partition("\n\n")[0]
        return ai.changed(description=" ".join(paragraph.split())) if paragraph else ai

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """The model's JSON Schema, with `metadata` for the model and for each of its fields.

        A field's are what its `json_schema_extra` holds and what its markers say. Models within
        it, under `$defs`, are described likewise. All of it is JSON; an object that JSON does not
        have is named by its type.
        """
        return described(cls)

    def transform(self, context: ExecutionContext) -> Self:
        """A copy as it is for `context`: what is marked `FromContext` filled, `Hidden` hidden.

        Models within it are transformed too, also in lists, tuples, sets and dictionaries. Neither
        it nor they are changed. Private attributes go along as they are.

        Raises:
            ValidationFailed: what the context has does not fit the field.
        """
        return transformed(self, context)

    @classmethod
    def _declared(cls) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            merged.update(vars(base).get("__metadata__", {}))
        return merged
