"""Which of several is meant: what stands beside a type in `Annotated`, and how keys are shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin


@dataclass(frozen=True, slots=True)
class Named:
    """The one of this name: `Annotated[ChatProvider, Named("ollama")]`."""

    name: str

    def __str__(self) -> str:
        return f'named "{self.name}"'


@dataclass(frozen=True, slots=True)
class Tagged:
    """One with this tag: `Annotated[ChatProvider, Tagged("fast")]`."""

    tag: str

    def __str__(self) -> str:
        return f'tagged "{self.tag}"'


Qualifier: TypeAlias = "Named | Tagged"


def qualifiers(annotation: Any) -> tuple[Qualifier, ...]:
    """The `Named` and `Tagged` markers beside a type, in order; empty if there are none."""
    if get_origin(annotation) is not Annotated:
        return ()
    return tuple(mark for mark in annotation.__metadata__ if isinstance(mark, Named | Tagged))


def bare(annotation: Any) -> Any:
    """The type itself, without what stands beside it in `Annotated`."""
    return annotation.__origin__ if get_origin(annotation) is Annotated else annotation


def key_of(annotation: Any) -> Any:
    """What is looked up for an annotation: the type with its markers, and nothing else beside it.

    `str` keys are themselves.
    """
    marks = qualifiers(annotation)
    return _marked(bare(annotation), marks)


def without_none(annotation: Any) -> tuple[Any, bool]:
    """The key of an annotation that may be `… | None`, and whether it is."""
    marks, plain = qualifiers(annotation), bare(annotation)
    members = get_args(plain) if get_origin(plain) in (Union, UnionType) else ()
    if NoneType not in members:
        return _marked(plain, marks), False
    rest = reduce(or_, (member for member in members if member is not NoneType))
    return _marked(bare(rest), (*qualifiers(rest), *marks)), True


def shown(key: Any) -> str:
    """A key for a person: `Pool`, `Repository[User]`, `"db"`, `ChatProvider named "ollama"`."""
    if isinstance(key, str):
        return f'"{key}"'
    plain = bare(key)
    name = plain.__qualname__ if isinstance(plain, type) and not get_args(plain) else _alias(plain)
    return " ".join([name.rpartition("<locals>.")[2], *map(str, qualifiers(key))])


def _alias(plain: Any) -> str:
    origin, arguments = get_origin(plain), get_args(plain)
    if isinstance(origin, type) and arguments:
        inner = ", ".join(
            shown(each) if get_origin(each) or isinstance(each, type) else str(each)
            for each in arguments
        )
        return f"{shown(origin)}[{inner}]"
    return str(getattr(plain, "__name__", None) or repr(plain)).replace("typing.", "")


def _marked(plain: Any, marks: tuple[Qualifier, ...]) -> Any:
    return Annotated.__class_getitem__((plain, *marks)) if marks else plain  # type: ignore[attr-defined]
