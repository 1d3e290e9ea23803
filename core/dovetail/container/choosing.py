"""Dependencies that a provider chooses each time."""

from __future__ import annotations

from inspect import iscoroutine, iscoroutinefunction
from typing import TYPE_CHECKING, Any, NoReturn

from dovetail.container.markers import shown
from dovetail.container.node import Node
from dovetail.container.scopes import Build
from dovetail.context import current_context
from dovetail.errors import (
    AsyncDependency,
    CaptiveDependency,
    ContextRequired,
    DependencyNotFound,
    DependencyResolutionError,
)
from dovetail.host.records import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.container.node import Owner
    from dovetail.container.provider import Provides
    from dovetail.context import ExecutionContext

_ABSENT = (ContextRequired, DependencyNotFound)
"""What a provider raises if there is none after all."""


def provided(
    key: Any, providers: Sequence[Provides], otherwise: Node, *, optional: bool = False
) -> Node:
    """What the first provider gives that can; `otherwise` if none can.

    With `optional` also if that one finds that there is none.
    """
    get_other, aget_other = otherwise.get, otherwise.aget

    def get(context: ExecutionContext | None, owner: Owner) -> Any:
        provider = _first(key, providers, context)
        if provider is not None:
            try:
                return _given_now(key, provider, context)
            except _ABSENT:
                _check_captive(key, providers, owner)
                if not optional:
                    raise
        _check_captive(key, providers, owner)
        return get_other(context, owner)

    async def aget(context: ExecutionContext | None, owner: Owner) -> Any:
        provider = _first(key, providers, context)
        if provider is not None:
            try:
                return await _given(key, provider, context)
            except _ABSENT:
                _check_captive(key, providers, owner)
                if not optional:
                    raise
        _check_captive(key, providers, owner)
        return get_other(context, owner) if aget_other is None else await aget_other(context, owner)

    # What it is bound to is known only when it is asked for.
    return Node(get, aget, contextual=True, touched=otherwise.touched)


def without_context(node: Node, name: str) -> Node:
    """What is kept with the kernel, so that no context may have to do with it.

    The asker's is noted only to tell if something is missing for this reason.
    """
    get_it, aget_it = node.get, node.aget

    def get(context: ExecutionContext | None, owner: Owner) -> Any:
        _note_asker(context, owner)
        try:
            return get_it(None, owner)
        except ContextRequired as error:
            raise captive(name, error.chain) from None

    async def aget(context: ExecutionContext | None, owner: Owner) -> Any:
        _note_asker(context, owner)
        try:
            return get_it(None, owner) if aget_it is None else await aget_it(None, owner)
        except ContextRequired as error:
            raise captive(name, error.chain) from None

    return Node(get, aget if aget_it is not None else None, touched=node.touched)


def captive(name: str, chain: tuple[str, ...]) -> CaptiveDependency:
    """The error of a thing that is kept with the kernel, by the way to what cannot be."""
    return CaptiveDependency(
        f"`{name}` is kept with the kernel, but `{chain[-1]}`, which it needs, lasts only as long "
        f'as a context: register `{name}` with scope="context", or let it ask when it is used',
        chain=chain,
    )


def _note_asker(context: ExecutionContext | None, owner: Owner) -> None:
    if isinstance(owner, Build):
        parent = owner.parent.asker if owner.parent is not None else None
        owner.asker = context or parent or current_context()


def _check_captive(key: Any, providers: Sequence[Provides], owner: Owner) -> None:
    """Refuse to do without what a provider has for the asker's context.

    Else the kernel would keep something made from nothing in its place.
    """
    asker = owner.asker if isinstance(owner, Build) else None
    if isinstance(owner, Build) and asker is not None and _first(key, providers, asker):
        raise captive(owner.name, (shown(key),))


def _first(
    key: Any, providers: Sequence[Provides], context: ExecutionContext | None
) -> Provides | None:
    for provider in providers:
        try:
            if provider.can_provide(key, context):
                return provider
        except Exception as error:  # noqa: BLE001 - as below
            _tell(key, provider, error)
    return None


def _given_now(key: Any, provider: Provides, context: ExecutionContext | None) -> Any:
    if iscoroutinefunction(provider.provide):
        raise _refused(key, provider)
    try:
        value = provider.provide(key, context)
    except Exception as error:  # noqa: BLE001 - whatever went wrong is told with whose it is
        _tell(key, provider, error)
    if iscoroutine(value):
        value.close()
        raise _refused(key, provider)
    return value


async def _given(key: Any, provider: Provides, context: ExecutionContext | None) -> Any:
    try:
        value = provider.provide(key, context)
        return await value if iscoroutine(value) else value
    except Exception as error:  # noqa: BLE001 - whatever went wrong is told with whose it is
        _tell(key, provider, error)


def _tell(key: Any, provider: Provides, error: Exception) -> NoReturn:
    """Raise what tells whose error it is; that there is none is told as it is."""
    if isinstance(error, _ABSENT):
        error.chain = error.chain or (shown(key),)
        raise error
    raise DependencyResolutionError(
        f"`{type(provider).__name__}` could not provide `{shown(key)}`: {describe(error)}",
        chain=(shown(key),),
        original_exception=error,
    ) from error


def _refused(key: Any, provider: Provides) -> AsyncDependency:
    return AsyncDependency(
        f"`{shown(key)}` is provided by `{type(provider).__name__}.provide`, which is "
        "asynchronous: await `aresolve` instead of calling `resolve`",
        chain=(shown(key),),
    )
