"""What a callable asks for: its parameters by their annotations, read once."""

from __future__ import annotations

import inspect
import sys
from abc import ABC
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from dovetail.container.markers import qualifiers, shown, without_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_SIGNATURES = 1024
"""How many callables are remembered."""

_EMPTY = inspect.Parameter.empty
_BARE = "has no annotation"
_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_VALUES = (str, bytes, int, float, complex, BaseException, Enum, type)
"""Values rather than parts: nobody wants one made from nothing."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter, and what is looked up for it."""

    name: str
    index: int | None
    """Its place among the positional ones; None if it goes by name only."""
    by_name: bool
    """Whether it may be given by name."""
    key: Any = None
    """What is looked up; nothing if `why` says why not."""
    optional: bool = False
    """Whether its annotation allows `None`."""
    default: Any = _EMPTY
    why: str = ""
    """Why nothing is ever filled in for it."""
    unreadable: bool = False
    """Whether that is because its annotation cannot be evaluated."""

    @property
    def has_default(self) -> bool:
        """Whether it may be left out."""
        return self.default is not _EMPTY

    @property
    def bare(self) -> bool:
        """Whether it says nothing of what it wants."""
        return self.why == _BARE

    @property
    def spare(self) -> Any:
        """What it is if nobody provides it: its default, else None."""
        return self.default if self.has_default else None


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a callable, without `*args` and `**kwargs`."""

    parameters: tuple[Parameter, ...]
    anything: bool
    """Whether it takes `*args` and names no parameter at all."""


def signature_of(target: Callable[..., Any]) -> Signature:
    """What `target` asks for: a function, a class, or a generic class with its arguments."""
    try:
        hash(target)
    except TypeError:
        return _read(target)
    return _remembered(target)


def _read(target: Callable[..., Any]) -> Signature:
    called = get_origin(target) or target
    try:
        found = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):  # written in C, and it does not say
        return Signature((), anything=False)
    reader = _Reader(target, called)
    named = [parameter for parameter in found if parameter.kind not in _STARRED]
    starred = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in found)
    parameters = tuple(reader.read(*numbered) for numbered in enumerate(named))
    return Signature(parameters, anything=starred and not parameters)


_remembered = lru_cache(maxsize=MOST_SIGNATURES)(_read)


class _Reader:
    """Evaluates the annotations of one callable, each alone.

    All at once they would fail on any that exists for type checkers only.
    """

    def __init__(self, target: Any, called: Any) -> None:
        self._namespaces = _namespaces(called)
        self._arguments = _arguments(target, _maker(called)) if isinstance(called, type) else {}

    def read(self, number: int, parameter: inspect.Parameter) -> Parameter:
        """The parameter with what is looked up for it."""
        made = partial(
            Parameter,
            parameter.name,
            None if parameter.kind is inspect.Parameter.KEYWORD_ONLY else number,
            parameter.kind is not inspect.Parameter.POSITIONAL_ONLY,
            default=parameter.default,
        )
        if parameter.annotation is _EMPTY:
            return made(why=_BARE)
        try:
            annotation = self._evaluate(parameter.annotation)
        except Exception as error:  # noqa: BLE001 - anything may go wrong in somebody's annotation
            why = (
                f"is annotated with `{parameter.annotation}`, which cannot be read at run time "
                f"({error}); import it outside `if TYPE_CHECKING:`"
            )
            return made(why=why, unreadable=True)
        key, optional = without_none(_substitute(annotation, self._arguments))
        return made(key=key, optional=optional, why=why_never(key))

    def _evaluate(self, annotation: Any) -> Any:
        failure: Exception = NameError(annotation)
        for names in self._namespaces:
            holder = SimpleNamespace(__annotations__={"it": annotation})
            try:
                return get_type_hints(holder, names, include_extras=True)["it"]
            except NameError as error:
                failure = error
        raise failure


def why_never(key: Any) -> str:
    """Why nothing is ever filled in for such an annotation; empty if something may be."""
    if qualifiers(key):
        return ""
    origin = get_origin(key) or key
    if key in (Any, None) or origin in (Literal, object) or isinstance(origin, TypeVar | str):
        return f"is annotated with `{shown(key)}`, which may be anything"
    if origin is Union or isinstance(key, type(int | str)):
        return f"is annotated with `{shown(key)}`, which may be one of several"
    if getattr(origin, "__module__", "") == "builtins":
        return f"is a plain `{shown(key)}`, which is never filled in"
    return ""


def why_not_made(key: Any) -> str:
    """Why nothing is constructed for such a key; empty if it is a class to construct."""
    made = get_origin(key) or key
    if isinstance(key, str) or qualifiers(key) or not isinstance(made, type):
        return "it is not a class"
    if getattr(made, "_is_protocol", False):
        return "a protocol cannot be made from itself"
    if inspect.isabstract(made) or ABC in made.__bases__:
        return "an abstract class cannot be made"
    standard = made.__module__.partition(".")[0] in sys.stdlib_module_names
    if standard or issubclass(made, _VALUES) or is_typeddict(made):
        return "a value is not made from nothing"
    return ""


def _maker(cls: type) -> type:
    """The class whose `__init__` it is."""
    return next((base for base in cls.__mro__ if "__init__" in vars(base)), cls)


def _arguments(target: Any, owner: type) -> dict[Any, Any]:
    """What the type variables of `owner`, a base of `target`, stand for in it."""
    cls: type = get_origin(target) or target
    bound = dict(zip(getattr(cls, "__parameters__", ()), get_args(target), strict=False))
    if cls is owner:
        return bound
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        plain = get_origin(base) or base
        if isinstance(plain, type) and issubclass(plain, owner):
            return _arguments(_substitute(base, bound), owner)
    return {}


def _substitute(annotation: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(annotation, TypeVar):
        return bound.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if not bound or not parameters or isinstance(annotation, type):
        return annotation
    return annotation[tuple(bound.get(each, each) for each in parameters)]


def _namespaces(called: Any) -> list[dict[str, Any]]:
    """Where its annotations may be looked up: where it was written, and where its bases were."""
    if not isinstance(called, type):
        return [getattr(_function(called), "__globals__", {})]
    modules = [sys.modules.get(base.__module__) for base in called.__mro__]
    maker = getattr(vars(_maker(called)).get("__init__"), "__globals__", None)
    return [*([maker] if maker else []), *(vars(module) for module in modules if module)]


def _function(called: Any) -> Any:
    """The function behind a partial, a method, a wrapper or an object that can be called."""
    while isinstance(called, partial):
        called = called.func
    if not inspect.isroutine(called):
        called = type(called).__call__
    called = inspect.unwrap(called)
    return getattr(called, "__func__", called)
