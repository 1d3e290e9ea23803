"""Markers that stand beside a field's type in `Annotated` and say how context changes the field."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from dovetail.config.nearest import nearest
from dovetail.context import ExecutionContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_ATTRIBUTES = tuple(
    name
    for name, value in inspect.getmembers(ExecutionContext)
    if not name.startswith("_") and not callable(value)
)


@dataclass(frozen=True, slots=True)
class FromContext:
    """A field that is filled by the context if nobody set it: `FromContext("user_id")`.

    `source` is an attribute of `ExecutionContext`, or `property:NAME`, or `metadata:NAME`. What is
    `None` there fills nothing.

    Raises:
        ValueError: no context has that.
    """

    source: str

    def __post_init__(self) -> None:
        kind, colon, name = self.source.partition(":")
        if (name and kind in ("property", "metadata")) or (not colon and kind in _ATTRIBUTES):
            return
        near = nearest(kind, _ATTRIBUTES)
        hint = f"did you mean `{near}`?" if near and not colon else f"it has {_listed(_ATTRIBUTES)}"
        message = (
            f"`{self.source}` is nothing that a context has: {hint} "
            "What a host adds is `property:NAME` or `metadata:NAME`."
        )
        raise ValueError(message)

    def value(self, context: ExecutionContext) -> Any:
        """What `context` has for the field; `None` if it has nothing."""
        kind, colon, name = self.source.partition(":")
        if not colon:
            return getattr(context, kind)
        return (context.properties if kind == "property" else context.metadata).get(name)

    def described(self) -> dict[str, Any]:
        """What `describe()` says of the field."""
        return {"from_context": self.source}


@dataclass(frozen=True, slots=True)
class Hidden:
    """A field that shows its default in place of its value.

    `unless` makes an exception for contexts with that tag, or for those of which the function says
    so: `Hidden(unless="admin")`, `Hidden(unless=lambda context: context.user_id == "root")`.

    Raises:
        TypeError: `unless` is a coroutine function, which is not waited for.
        ValueError: `unless` is an empty tag.
    """

    unless: str | Callable[[ExecutionContext], bool] | None = None

    def __post_init__(self) -> None:
        if self.unless == "":
            raise ValueError("`unless` is empty: name a tag, or leave it out to hide always")
        if inspect.iscoroutinefunction(self.unless):
            raise TypeError("`unless` is a coroutine function: decide without waiting")

    def hides(self, context: ExecutionContext) -> bool:
        """Whether the field's value is nothing for `context`."""
        if self.unless is None:
            return True
        if isinstance(self.unless, str):
            return not context.has_tag(self.unless)
        return not self.unless(context)

    def described(self) -> dict[str, Any]:
        """What `describe()` says of the field."""
        if self.unless is None:
            return {"hidden": True}
        name = getattr(self.unless, "__name__", type(self.unless).__name__)
        return {"hidden": True, "unless": self.unless if isinstance(self.unless, str) else name}


Marker = FromContext | Hidden


def markers_of(field: FieldInfo) -> tuple[Marker, ...]:
    """The markers around a field's type."""
    return tuple(mark for mark in field.metadata if isinstance(mark, Marker))


def check_markers(model: type[BaseModel]) -> None:
    """Refuse markers that could not do what they say.

    Raises:
        TypeError: a marked field has no default, or a marker stands inside a field's type.
    """
    for name, field in model.model_fields.items():
        place = f"`{model.__qualname__}.{name}`"
        for mark in markers_of(field):
            if field.is_required():
                hidden = isinstance(mark, Hidden)
                reason = "to show for it" if hidden else "or it can never be left to the context"
                message = (
                    f"{place} is marked {type(mark).__name__} and has no default: "
                    f"give it one, {reason}"
                )
                raise TypeError(message)
        for mark in _marks_inside(field.annotation):
            message = (
                f"{place} has {type(mark).__name__} inside its type, where it marks nothing: put "
                f"it around the whole, as in Annotated[str | None, {type(mark).__name__}(…)]"
            )
            raise TypeError(message)


def _marks_inside(annotation: Any) -> list[Marker]:
    """The markers anywhere in a type, aliases of types included."""
    found: list[Marker] = []
    seen: list[Any] = []
    waiting = [annotation]
    while waiting:
        part = waiting.pop()
        if any(part is one for one in seen):
            continue
        seen.append(part)
        if get_origin(part) is Annotated:
            found += [mark for mark in part.__metadata__ if isinstance(mark, Marker)]
        alias = get_origin(part) or part
        if type(alias).__name__ == "TypeAliasType":
            waiting.append(alias.__value__)
        waiting += get_args(part)
    return found


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) + "."
