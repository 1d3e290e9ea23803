"""What a container is told: registrations, overrides, and the lookups they make."""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dovetail.container.compiling import Compiler, Plans
from dovetail.container.markers import key_of
from dovetail.container.registry import Entry, Registry, checked_key
from dovetail.container.scopes import Scopes
from dovetail.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dovetail.container.node import Node
    from dovetail.container.provider import Provides
    from dovetail.container.registry import ScopeName


class Registrations:
    """The half of a container that is told what there is."""

    def __init__(self) -> None:
        self._registry = Registry()
        self._scopes = Scopes()
        self._plans = Plans(self._compile)
        self._version = 0

    def register_instance(
        self, key: Any, instance: Any, *, ping: Callable[[Any], Any] | None = None
    ) -> None:
        """Register what is there already; closing it is the caller's affair.

        `ping` is called with it by `health`, and raises, or gives False, if it does not work.
        """
        self._register(Entry.of_instance(key, instance, ping))

    def register_factory(
        self,
        key: Any,
        factory: Callable[..., Any],
        *,
        scope: ScopeName | None = None,
        enter: bool = True,
        ping: Callable[[Any], Any] | None = None,
    ) -> None:
        """Register what makes a dependency: a function, a coroutine function, a class.

        Its parameters are filled by their annotations; a first one without any gets the context.
        A generator function that yields once, and with `enter` a context manager that is given,
        is entered, and left when its scope ends. `scope` says for how long one is kept: as long as
        the `kernel` (the default), as its `context` (the default if it takes the context), or not
        at all (`transient`, and for keys that begin with `transient:`).

        Raises:
            DependencyError: the key could never be asked for, or the factory cannot be called.
            CaptiveDependency: it would be kept with the kernel, and takes the context.
        """
        self._register(Entry.of_factory(key, factory, scope, ping, enter=enter))

    def register_provider(self, provider: Provides) -> None:
        """Add an object with `can_provide` and `provide`, to be asked after those there are."""
        with self._scopes.lock:
            self._registry.providers += (provider,)
            self._forget_plans()

    def register_type_mapping(self, interface: Any, implementation: Any) -> None:
        """Let `implementation` stand for `interface`, such as a protocol or an abstract class."""
        with self._scopes.lock:
            self._registry.mappings[checked_key(interface)] = checked_key(implementation)
            self._forget_plans()

    @property
    def instances(self) -> Mapping[Any, Any]:
        """What was registered as an instance, by key."""
        entries = self._registry.entries
        return {key: entry.instance for key, entry in entries.items() if entry.factory is None}

    @property
    def factories(self) -> Mapping[Any, Callable[..., Any]]:
        """What was registered as a factory, by key."""
        entries = self._registry.entries
        return {key: entry.factory for key, entry in entries.items() if entry.factory is not None}

    @property
    def type_mappings(self) -> Mapping[Any, Any]:
        """What stands for what."""
        return MappingProxyType(self._registry.mappings)

    @property
    def providers(self) -> tuple[Provides, ...]:
        """Those who are asked, in order."""
        return self._registry.providers

    @contextmanager
    def override(
        self, key: Any, instance: Any = None, *, factory: Callable[..., Any] | None = None
    ) -> Iterator[None]:
        """For tests: let something else stand for `key` in the body of the `with`.

        What depends on it is built anew meanwhile, and what was built so is not used afterwards;
        it is cleaned up when its scope ends. It holds for all tasks and threads.
        """
        entry = (
            Entry.of_instance(key, instance, None)
            if factory is None
            else Entry.of_factory(key, factory, None, None, enter=True)
        )
        overrides = self._registry.overrides
        with self._scopes.lock:
            before = overrides.get(entry.key)
            overrides[entry.key] = entry
            self._forget_plans()
        try:
            yield
        finally:
            with self._scopes.lock:
                if before is None:
                    del overrides[entry.key]
                else:
                    overrides[entry.key] = before
                self._scopes.kernel.forget(entry)
                self._forget_plans()

    def _register(self, entry: Entry) -> None:
        with self._scopes.lock:
            self._registry.entries[entry.key] = entry
            self._forget_plans()

    def _forget_plans(self) -> None:
        self._plans.clear()
        self._version += 1

    def _compiler(self) -> Compiler:
        if self._scopes.kernel.closed:
            raise DependencyError("the container is closed")
        return Compiler(self._registry, self._scopes, self)

    def _compile(self, key: Any) -> Node:
        with self._scopes.lock:
            return self._plans.keep(key, self._compiler().node(key_of(key)))
