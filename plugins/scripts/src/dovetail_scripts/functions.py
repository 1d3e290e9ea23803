"""Host functions: what a script may call."""

from __future__ import annotations

import inspect
from functools import cached_property, update_wrapper
from types import MethodType
from typing import TYPE_CHECKING, Any, get_type_hints, overload

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from dovetail import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class ArgumentError(Exception):
    """What a script handed over does not fit the function; the message is for the script."""


class _Parameters:
    """What `get_type_hints` looks at, without what a function gives: that may be for types only."""

    def __init__(self, function: Callable[..., Any]) -> None:
        known = getattr(function, "__annotations__", {})
        self.__annotations__ = {name: hint for name, hint in known.items() if name != "return"}
        self.__globals__ = getattr(function, "__globals__", {})


class ScriptFunction:
    """A function or method that a script may call, sync or async.

    A synchronous one runs in the event loop: it must be quick. Called in Python it is the function
    itself.
    """

    def __init__(
        self, function: Callable[..., Any], name: str = "", *, writes: bool = False
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        self.writes = writes
        """Whether it changes something outside the script."""
        if not self.name.isidentifier() or self.name.startswith("_"):
            raise PluginError(
                f"`{self.name}` cannot be the name of a script function: give it one by "
                '`@script_function(name="…")`'
            )
        update_wrapper(self, function)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """The method of an instance, which can be handed to a script too."""
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself; nothing is checked."""
        return self.function(*args, **kwargs)

    @cached_property
    def signature(self) -> inspect.Signature:
        """The parameters, `self` of a method among them."""
        return inspect.signature(self.function)

    @cached_property
    def _checks(self) -> Mapping[str, TypeAdapter[Any]]:
        try:
            hints = get_type_hints(_Parameters(self.function), include_extras=True)
            return {name: TypeAdapter(hint) for name, hint in hints.items()}
        except (NameError, TypeError, PydanticUserError) as error:
            message = (
                f"the annotations of the script function `{self.name}` cannot be used: {error}; "
                "import what they name outside `if TYPE_CHECKING:`"
            )
            raise PluginError(message) from error

    def prepare(self) -> None:
        """Read the annotations now.

        Raises:
            PluginError: they cannot be used.
        """
        self._checks  # noqa: B018 - it is kept once it was made

    def bind(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as the annotations want them.

        Raises:
            ArgumentError: they do not fit.
        """
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{self.name}() {error}") from None
        for name, check in self._checks.items():
            if name in bound.arguments:
                bound.arguments[name] = self._checked(name, check, bound.arguments[name])
        return bound.args, bound.kwargs

    def _checked(self, name: str, check: TypeAdapter[Any], value: Any) -> Any:
        kind = self.signature.parameters[name].kind
        try:
            if kind is inspect.Parameter.VAR_POSITIONAL:
                return tuple(check.validate_python(item) for item in value)
            if kind is inspect.Parameter.VAR_KEYWORD:
                return {key: check.validate_python(item) for key, item in value.items()}
            return check.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = "".join(f"[{part!r}]" for part in first["loc"])
            raise ArgumentError(f"{self.name}(): `{name}`{place}: {first['msg']}") from None


@overload
def script_function(function: Callable[..., Any], /) -> ScriptFunction: ...
@overload
def script_function(
    *, name: str = "", writes: bool = False
) -> Callable[[Callable[..., Any]], ScriptFunction]: ...
def script_function(
    function: Callable[..., Any] | None = None, /, *, name: str = "", writes: bool = False
) -> ScriptFunction | Callable[[Callable[..., Any]], ScriptFunction]:
    """Let scripts call a function or method, under its own name or `name`.

    What a script hands over is validated against the annotations, and what it gets must be JSON
    data or a datetime, of which it gets a copy. `writes` says that it changes something.

    Raises:
        PluginError: the name is none a script could write.
    """
    if function is not None:
        return ScriptFunction(function)
    return lambda wrapped: ScriptFunction(wrapped, name, writes=writes)


class Bound:
    """A `ScriptFunction`, or anything else that can be called, ready to be called by a script."""

    __slots__ = ("_first", "function")

    def __init__(self, target: Callable[..., Any]) -> None:
        self._first: tuple[Any, ...] = ()
        if isinstance(target, MethodType) and isinstance(target.__func__, ScriptFunction):
            self._first = (target.__self__,)
            target = target.__func__
        self.function = target if isinstance(target, ScriptFunction) else _plain(target)

    def call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Check and call; what it gives may have to be awaited.

        Raises:
            ArgumentError: the arguments do not fit.
        """
        args, kwargs = self.function.bind((*self._first, *args), kwargs)
        return self.function.function(*args, **kwargs)


def _plain(target: Callable[..., Any]) -> ScriptFunction:
    named = getattr(target, "__name__", "")
    return ScriptFunction(target, named if named.isidentifier() and named[0] != "_" else "function")
