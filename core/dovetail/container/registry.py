"""What was registered, and what stands for a key."""

from __future__ import annotations

import inspect
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin

from dovetail.container.markers import Named, key_of, qualifiers, shown
from dovetail.container.signatures import Parameter, signature_of, why_never
from dovetail.context import ExecutionContext
from dovetail.errors import CaptiveDependency, DependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dovetail.container.provider import Provides

ScopeName: TypeAlias = Literal["kernel", "context", "transient"]
TRANSIENT = "transient:"
"""What the key of a transient thing may begin with."""


class Entry:
    """One registration."""

    __slots__ = (
        "alone",
        "enter",
        "factory",
        "instance",
        "is_async",
        "key",
        "name",
        "parameters",
        "ping",
        "scope",
    )

    def __init__(self, key: Any, ping: Callable[[Any], Any] | None) -> None:
        self.key = key
        self.name = shown(key)
        self.ping = ping
        self.instance: Any = None
        self.factory: Callable[..., Any] | None = None
        self.scope: ScopeName = "kernel"
        self.enter = False
        self.is_async = False
        self.alone = False
        """Whether it takes a context and can do without."""
        self.parameters: tuple[Parameter, ...] = ()

    @classmethod
    def of_instance(cls, key: Any, instance: Any, ping: Callable[[Any], Any] | None) -> Entry:
        """What is there already."""
        entry = cls(checked_key(key), ping)
        entry.instance = instance
        return entry

    @classmethod
    def of_factory(
        cls,
        key: Any,
        factory: Callable[..., Any],
        scope: ScopeName | None,
        ping: Callable[[Any], Any] | None,
        *,
        enter: bool,
    ) -> Entry:
        """What a factory makes."""
        entry = cls(checked_key(key), ping)
        if not callable(factory):
            raise DependencyError(f"the factory of {entry.name} cannot be called: {factory!r}")
        entry.factory = _managed(factory)
        entry.enter = enter
        entry.is_async = _is_async(factory, enters=enter)
        entry.parameters = _with_context(factory)
        entry.scope = _scope(entry, scope)
        return entry

    @property
    def opens(self) -> bool:
        """Whether what the factory gives may have to be awaited or entered."""
        if not isinstance(self.factory, type):
            return True
        return self.enter and (
            hasattr(self.factory, "__enter__") or hasattr(self.factory, "__aenter__")
        )


class Registry:
    """All registrations of a container."""

    def __init__(self) -> None:
        self.entries: dict[Any, Entry] = {}
        self.overrides: dict[Any, Entry] = {}
        self.mappings: dict[Any, Any] = {}
        self.providers: tuple[Provides, ...] = ()

    def find(self, key: Any) -> Entry | None:
        """The registration for `key`: its own, the one of its name, or of the generic class."""
        for table in (self.overrides, self.entries):
            entry = table.get(key)
            if entry is None and (marks := qualifiers(key)):
                names = [mark.name for mark in marks if isinstance(mark, Named)]
                entry = table.get(names[0]) if len(names) == len(marks) == 1 else None
            elif entry is None and not isinstance(key, str):
                entry = table.get(get_origin(key))
            if entry is not None:
                return entry
        return None

    def mapped(self, key: Any) -> Any:
        """What `key` is mapped to, a generic implementation with the same arguments; or None."""
        if key in self.mappings:
            return self.mappings[key]
        arguments, implementation = get_args(key), self.mappings.get(get_origin(key))
        if implementation is None or qualifiers(key):
            return None
        parameters = getattr(implementation, "__parameters__", ())
        return implementation[arguments] if len(parameters) == len(arguments) else implementation


def checked_key(key: Any) -> Any:
    """The key as it is looked up.

    Raises:
        DependencyError: nothing could ever ask for it.
    """
    if isinstance(key, str):
        return key
    key = key_of(key)
    if why := why_never(key):
        raise DependencyError(
            f"nothing can be registered for `{shown(key)}`: a parameter with this annotation "
            f'{why}; use a text as the key, or `Annotated[…, Named("…")]`'
        )
    return key


def _managed(factory: Callable[..., Any]) -> Callable[..., Any]:
    """A generator function as what it is meant to be: up to `yield` it opens, then it closes."""
    if inspect.isgeneratorfunction(factory):
        return contextmanager(factory)
    if inspect.isasyncgenfunction(factory):
        return asynccontextmanager(factory)
    return factory


def _is_async(factory: Callable[..., Any], *, enters: bool) -> bool:
    """Whether it is known to be asynchronous before it is called."""
    if isinstance(factory, type):
        return enters and hasattr(factory, "__aenter__") and not hasattr(factory, "__enter__")
    while isinstance(factory, partial):
        factory = factory.func
    if not inspect.isroutine(factory):
        factory = type(factory).__call__
    inner = inspect.unwrap(factory)
    return inspect.iscoroutinefunction(factory) or inspect.isasyncgenfunction(inner)


def _with_context(factory: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Its parameters. A first one that says nothing of itself takes the context."""
    signature = signature_of(factory)
    if signature.anything and not isinstance(factory, type):
        return (Parameter("context", 0, by_name=False, key=ExecutionContext, optional=True),)
    first, *rest = signature.parameters or (None,)
    if first is None or not first.bare or (first.has_default and first.name != "context"):
        return signature.parameters
    taken = Parameter(first.name, first.index, first.by_name, key=ExecutionContext, optional=True)
    return (taken, *rest)


def _scope(entry: Entry, scope: ScopeName | None) -> ScopeName:
    taking = [p for p in entry.parameters if p.key is ExecutionContext]
    transient = isinstance(entry.key, str) and entry.key.startswith(TRANSIENT)
    if scope not in (None, *get_args(ScopeName)):
        raise DependencyError(
            f"the scope of {entry.name} is {scope!r}; it should be one of "
            + ", ".join(f'"{name}"' for name in get_args(ScopeName))
        )
    if transient and scope not in (None, "transient"):
        raise DependencyError(f'{entry.name} is transient by its name and cannot be "{scope}"')
    if scope == "kernel" and taking:
        raise CaptiveDependency(
            f"`{entry.name}` would be kept with the kernel, but its factory takes the context as "
            f'`{taking[0].name}`: register it with scope="context" or scope="transient"',
            chain=(entry.name, "ExecutionContext"),
        )
    if transient:
        return "transient"
    entry.alone = scope is None and bool(taking) and all(p.optional for p in taking)
    return scope or ("context" if taking else "kernel")


def names_of(entries: Mapping[Any, Entry]) -> list[str]:
    """The keys that are texts."""
    return [key for key in entries if isinstance(key, str)]
