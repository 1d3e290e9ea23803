"""One step of a lookup, compiled: closures that take the context and give the dependency."""

from __future__ import annotations

from copy import copy
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from dovetail.container.scopes import MISSING
from dovetail.errors import DependencyCycle, DependencyResolutionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from dovetail.container.scopes import Build, Scope
    from dovetail.context import ExecutionContext

    Owner: TypeAlias = Build | Scope | None
    """Who closes what is opened on the way, and what its scope has; None if nothing was built yet
    for the context."""
    Get: TypeAlias = Callable[[ExecutionContext | None, Owner], Any]
    AGet: TypeAlias = Callable[[ExecutionContext | None, Owner], Awaitable[Any]]


class Node:
    """How one dependency is had."""

    __slots__ = ("aget", "bound", "contextual", "get", "idle", "peek", "touched")

    def __init__(
        self,
        get: Get,
        aget: AGet | None = None,
        *,
        peek: Get | None = None,
        contextual: bool = False,
        bound: tuple[str, ...] = (),
        touched: frozenset[object] = frozenset(),
    ) -> None:
        self.get = get
        """For those who cannot await."""
        self.aget = aget
        """For those who can, once `peek` had nothing; None if there is never anything to await."""
        self.peek = peek
        """What can be had without awaiting anything, else `MISSING`; None if nothing ever can."""
        self.idle = peek is not None
        """Whether `peek` only looks, and makes nothing."""
        self.contextual = contextual
        """Whether the context matters."""
        self.bound = bound
        """The way to what makes it last only as long as its context; empty if nothing does."""
        self.touched = touched
        """The overrides that it leads to."""

    async def awaited(self, context: ExecutionContext | None, owner: Owner) -> Any:
        """What it gives, awaiting only what has to be."""
        value = MISSING if self.peek is None else self.peek(context, owner)
        if value is not MISSING:
            return value
        return self.get(context, owner) if self.aget is None else await self.aget(context, owner)


def constant(value: Any, touched: frozenset[object] = frozenset()) -> Node:
    """Always the same."""

    def get(_context: ExecutionContext | None, _owner: Owner) -> Any:
        return value

    return Node(get, peek=get, touched=touched)


def raising(error: DependencyResolutionError) -> Node:
    """An error that matters only if somebody gets so far."""

    def get(_context: ExecutionContext | None, _owner: Owner) -> Any:
        raise again(error)

    return Node(get)


def calling(
    name: str,
    call: Callable[..., Any],
    positional: Sequence[Node],
    named: Mapping[str, Node],
    *,
    may_wait: bool = False,
) -> Node:
    """What `call` gives with its arguments, which are had first.

    With `may_wait` it may give a coroutine: what that gives is it then.
    """
    parts = [*positional, *named.values()]
    waits = may_wait or any(part.aget is not None for part in parts)
    node = Node(
        _calling(name, call, [node.get for node in positional], named),
        _acalling(name, call, positional, named, may_wait=may_wait) if waits else None,
        contextual=any(part.contextual for part in parts),
        bound=next(((name, *part.bound) for part in parts if part.bound), ()),
        touched=frozenset().union(*(part.touched for part in parts)),
    )
    if waits and not may_wait and not named and all(part.idle for part in parts):
        node.peek = _peeking(name, call, [part.peek for part in parts if part.peek is not None])
    return node


def _peeking(name: str, call: Callable[..., Any], peeks: Sequence[Get]) -> Get:
    """What needs only what is there already is called without a coroutine of its own."""

    def peek(context: ExecutionContext | None, owner: Owner) -> Any:
        arguments = []
        for each in peeks:
            value = each(context, owner)
            if value is MISSING:
                return MISSING
            arguments.append(value)
        try:
            return call(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever went wrong is told with who asked
            tell(name, error)

    return peek


def _calling(
    name: str, call: Callable[..., Any], gets: Sequence[Get], named: Mapping[str, Node]
) -> Get:
    """A closure of its own for each of the usual numbers of arguments: a loop doubles the time."""
    if named or len(gets) > len(_CLOSURES) - 1:
        return _calling_many(name, call, gets, {key: node.get for key, node in named.items()})
    return _CLOSURES[len(gets)](name, call, *gets)


def _calling_many(
    name: str, call: Callable[..., Any], gets: Sequence[Get], named: Mapping[str, Get]
) -> Get:
    def get(context: ExecutionContext | None, owner: Owner) -> Any:
        try:
            arguments = [each(context, owner) for each in gets]
            return call(*arguments, **{key: each(context, owner) for key, each in named.items()})
        except Exception as error:  # noqa: BLE001 - whatever went wrong is told with who asked
            tell(name, error)

    return get


def _calling_none(name: str, call: Callable[..., Any]) -> Get:
    def get(_context: ExecutionContext | None, _owner: Owner) -> Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - as above
            tell(name, error)

    return get


def _calling_one(name: str, call: Callable[..., Any], first: Get) -> Get:
    def get(context: ExecutionContext | None, owner: Owner) -> Any:
        try:
            return call(first(context, owner))
        except Exception as error:  # noqa: BLE001 - as above
            tell(name, error)

    return get


def _calling_two(name: str, call: Callable[..., Any], first: Get, second: Get) -> Get:
    def get(context: ExecutionContext | None, owner: Owner) -> Any:
        try:
            return call(first(context, owner), second(context, owner))
        except Exception as error:  # noqa: BLE001 - as above
            tell(name, error)

    return get


def _calling_three(name: str, call: Callable[..., Any], first: Get, second: Get, third: Get) -> Get:
    def get(context: ExecutionContext | None, owner: Owner) -> Any:
        try:
            return call(first(context, owner), second(context, owner), third(context, owner))
        except Exception as error:  # noqa: BLE001 - as above
            tell(name, error)

    return get


_CLOSURES: tuple[Callable[..., Get], ...] = (
    _calling_none,
    _calling_one,
    _calling_two,
    _calling_three,
)


def _acalling(
    name: str,
    call: Callable[..., Any],
    positional: Sequence[Node],
    named: Mapping[str, Node],
    *,
    may_wait: bool,
) -> AGet:
    nodes = [*((None, node) for node in positional), *named.items()]
    parts = [(key, node.get, node.aget, node.peek) for key, node in nodes]

    async def aget(context: ExecutionContext | None, owner: Owner) -> Any:
        try:
            arguments, keywords = [], {}  # a comprehension that awaits takes twice the time
            for key, now, later, peek in parts:
                value = MISSING if peek is None else peek(context, owner)
                if value is MISSING:
                    value = now(context, owner) if later is None else await later(context, owner)
                if key is None:
                    arguments.append(value)
                else:
                    keywords[key] = value
            value = call(*arguments, **keywords)
            return await value if may_wait and iscoroutine(value) else value
        except Exception as error:  # noqa: BLE001 - as above
            tell(name, error)

    return aget


def again(error: DependencyResolutionError) -> DependencyResolutionError:
    """The same error for somebody else who asked: the chains grow apart."""
    other = copy(error)
    other.__cause__ = error.__cause__
    return other


def tell(name: str, error: Exception) -> NoReturn:
    """Raise what tells who asked: the same error, if it is one that can be told so."""
    if isinstance(error, DependencyResolutionError):
        error.asked_by(name)
        raise error
    if isinstance(error, RecursionError):  # there is no room to say much
        raise DependencyCycle(f"`{name}` asks for itself without end", chain=(name,)) from error
    from dovetail.host.records import describe

    message = f"`{name}` could not be built: {describe(error)}"
    raise DependencyResolutionError(message, chain=(name,), original_exception=error) from error
