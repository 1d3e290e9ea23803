"""How long a thing is kept: with the kernel, or with a context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail.container.node import Node
from dovetail.container.scopes import MISSING
from dovetail.errors import ContextRequired

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from dovetail.container.building import Shared
    from dovetail.container.node import Owner
    from dovetail.container.scopes import Scope
    from dovetail.context import ExecutionContext


def kept_by_kernel(shared: Shared, touched: frozenset[object]) -> Node:
    """Built once, and the same for everybody from then on."""
    kernel, key = shared.scopes.kernel, shared.key
    values = kernel.values

    def get(context: ExecutionContext | None, _owner: Owner) -> Any:
        try:
            return values[key]
        except KeyError:
            pass  # what building raises has nothing to do with it
        return shared.build_now(kernel, context)

    def aget(context: ExecutionContext | None, _owner: Owner) -> Awaitable[Any]:
        return shared.build(kernel, context)

    def peek(_context: ExecutionContext | None, _owner: Owner) -> Any:
        return values.get(key, MISSING)

    return Node(get, aget, peek=peek, touched=touched)


def kept_by_context(shared: Shared, touched: frozenset[object], *, alone: bool) -> Node:
    """Built once for each context.

    With `alone` it can be built without a context too: then it is kept with the kernel.
    """
    scopes, key, name = shared.scopes, shared.key, shared.name

    def home(context: ExecutionContext | None, owner: Owner) -> Scope:
        if context is not None:
            return scopes.of(context) if owner is None else owner.home
        if alone:
            return scopes.kernel
        raise no_context(name)

    # Who has no scope yet has no values either, and who has no context only those kept alone.
    def get(context: ExecutionContext | None, owner: Any) -> Any:
        try:
            return owner.values[key]
        except (AttributeError, KeyError):
            pass
        return shared.build_now(home(context, owner), context)

    def aget(context: ExecutionContext | None, owner: Owner) -> Awaitable[Any]:
        return shared.build(home(context, owner), context)

    def peek(_context: ExecutionContext | None, owner: Owner) -> Any:
        return MISSING if owner is None else owner.values.get(key, MISSING)

    return Node(get, aget, peek=peek, contextual=True, bound=(name,), touched=touched)


def given_context(*, optional: bool, spare: Any = None) -> Node:
    """The context itself."""

    def get(context: ExecutionContext | None, _owner: Owner) -> Any:
        if context is not None:
            return context
        if optional:
            return spare
        raise no_context("ExecutionContext")

    return Node(get, contextual=True, bound=("ExecutionContext",))


def unless_no_context(node: Node, spare: Any) -> Node:
    """`node`, or `spare` where there is no context that it could be of."""
    get, aget, awaited = node.get, node.aget, node.awaited

    def get_or_spare(context: ExecutionContext | None, owner: Owner) -> Any:
        return spare if context is None else get(context, owner)

    async def aget_or_spare(context: ExecutionContext | None, owner: Owner) -> Any:
        return spare if context is None else await awaited(context, owner)

    return Node(
        get_or_spare,
        aget_or_spare if aget is not None else None,
        contextual=True,
        bound=node.bound,
        touched=node.touched,
    )


def no_context(name: str) -> ContextRequired:
    """The error of whoever asks for what is of a context where there is none."""
    return ContextRequired(
        f"`{name}` is of a context, and there is none: hand over `context=`, or ask during a turn "
        "or within `async with container.scope():`",
        chain=(name,),
    )
