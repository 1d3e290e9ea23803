"""What a factory gives: awaited if it is a coroutine, entered if it is a context manager."""

from __future__ import annotations

from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

from dovetail.container.cleanup import Exit, enter, enter_now
from dovetail.container.node import Node, tell
from dovetail.errors import AsyncDependency, DependencyError

if TYPE_CHECKING:
    from dovetail.container.node import AGet, Get, Owner
    from dovetail.container.registry import Entry
    from dovetail.container.scopes import Build, Scope, Scopes
    from dovetail.context import ExecutionContext


def opening(entry: Entry, make: Node, scopes: Scopes) -> Node:
    """`make`, which calls the entry's factory, and what is to be done with what that gives."""
    return Node(
        _opening_now(entry, make, scopes),
        _opening(entry, make, scopes),
        contextual=True,  # the context may have to own what is opened
        bound=make.bound,
        touched=make.touched,
    )


def _opening_now(entry: Entry, make: Node, scopes: Scopes) -> Get:
    name, enters, is_async = entry.name, entry.enter, entry.is_async

    def get(context: ExecutionContext | None, owner: Owner) -> Any:
        if is_async:
            raise _refused(entry, "is asynchronous")
        value = make.get(context, owner)
        if iscoroutine(value):
            value.close()
            raise _refused(entry, "gave a coroutine")
        kind = type(value)
        if not enters or not (hasattr(kind, "__enter__") or hasattr(kind, "__aenter__")):
            return value
        if not hasattr(kind, "__enter__"):
            raise _refused(entry, "gave an asynchronous context manager")
        try:
            home = _home(context, owner, scopes)
            value, exit_ = enter_now(name, value)
            _push_now(home, exit_)
        except Exception as error:  # noqa: BLE001 - whatever went wrong is told with who asked
            tell(name, error)
        return value

    return get


def _opening(entry: Entry, make: Node, scopes: Scopes) -> AGet:
    name, enters = entry.name, entry.enter

    async def aget(context: ExecutionContext | None, owner: Owner) -> Any:
        value = make.get(context, owner) if make.aget is None else await make.aget(context, owner)
        kind = type(value)
        if not enters or not (hasattr(kind, "__enter__") or hasattr(kind, "__aenter__")):
            return value
        try:
            home = _home(context, owner, scopes)
            if hasattr(kind, "__aenter__"):
                value, exit_ = await enter(name, value)
            else:
                value, exit_ = enter_now(name, value)
            await _push(home, exit_)
        except Exception as error:  # noqa: BLE001 - as above
            tell(name, error)
        return value

    return aget


def _home(context: ExecutionContext | None, owner: Owner, scopes: Scopes) -> Build | Scope:
    """Whose end is the end of what is opened."""
    if owner is not None:
        return owner
    if context is not None:
        return scopes.of(context)
    raise DependencyError(
        "it has to be closed, and without a context nothing would ever do that: ask for it within "
        "`async with container.scope():`, or register it for the kernel"
    )


def _push_now(home: Build | Scope, exit_: Exit) -> None:
    try:
        home.push(exit_)
    except DependencyError as error:  # the scope has ended meanwhile
        exit_.leave(error)
        raise


async def _push(home: Build | Scope, exit_: Exit) -> None:
    try:
        home.push(exit_)
    except DependencyError as error:
        waiting = exit_.leave(error)
        if waiting is not None:
            await waiting
        raise


def _refused(entry: Entry, why: str) -> AsyncDependency:
    factory = getattr(entry.factory, "__qualname__", None) or repr(entry.factory)
    return AsyncDependency(
        f"`{entry.name}` is made by `{factory.rpartition('<locals>.')[2]}`, which {why}: "
        "await `aresolve` instead of calling `resolve`, or `aget` instead of `get`",
        chain=(entry.name,),
    )
