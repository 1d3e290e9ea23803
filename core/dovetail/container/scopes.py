"""How long things last: what was built for the kernel, and for each context."""

from __future__ import annotations

import warnings
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from dovetail.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from dovetail.container.cleanup import Exit
    from dovetail.context import ExecutionContext
    from dovetail.errors import DependencyResolutionError


MISSING: Any = object()
"""Stands for what is not there."""


class Build:
    """One thing while it is being built. What it opens for itself alone is kept with it."""

    finished = False
    error: DependencyResolutionError | None = None
    """Why it failed, if whoever waits for it fails with it."""
    waiters: Future[None] | None = None
    """Made by the first who waits."""
    asker: ExecutionContext | None = None
    """Whose wish it was, for what is kept with the kernel and must not depend on that."""
    exits: Sequence[Exit] = ()
    waits_for: Sequence[Build] = ()

    def __init__(self, name: str, parent: Build | None, home: Scope) -> None:
        self.name = name
        self.parent = parent
        """What is being built meanwhile by the same task, and asked for this."""
        self.home = home
        """The scope that will keep it."""
        self.values = home.values
        self.thread = get_ident()

    def chain(self) -> Iterator[Build]:
        """This and what asked for it, innermost first."""
        build: Build | None = self
        while build is not None:
            yield build
            build = build.parent

    def push(self, exit_: Exit) -> None:
        """Keep how something that it needs is closed."""
        self.exits = (*self.exits, exit_)

    def finish(self) -> None:
        """Tell those who wait.

        Without a lock, which most builds would take for nothing: here `finished` is set before
        `waiters` is read, and there `waiters` is set before `finished` is read.
        """
        self.finished = True
        if self.waiters is not None:
            self.waiters.set_result(None)


class Scope:
    """What was built and lasts equally long, and how it is closed."""

    __slots__ = ("__weakref__", "_exits", "_owner", "building", "closed", "values")

    def __init__(self, owner: Scopes) -> None:
        self._owner = owner
        self._exits: _Exits | None = None
        self.values: dict[Any, Any] = {}
        self.building: dict[Any, Build] = {}
        self.closed = False

    @property
    def home(self) -> Scope:
        """Itself: what is built for it is kept by it."""
        return self

    def keep(self, key: Any, build: Build, value: Any) -> None:
        """Take over what was built.

        Raises:
            DependencyError: the scope has ended meanwhile.
        """
        if build.exits or self.closed:
            with self._owner.lock:
                self._take_over(build.exits, build.name)
        self.values[key] = value
        del self.building[key]
        build.finish()

    def drop(self, key: Any, build: Build, error: DependencyResolutionError | None) -> None:
        """Note that nothing came of it; those who wait get `error`, or try themselves."""
        build.error = error
        del self.building[key]
        build.finish()

    def push(self, exit_: Exit) -> None:
        """Keep how something is closed that nothing else keeps."""
        with self._owner.lock:
            self._take_over([exit_], exit_.name)

    def take(self) -> list[Exit]:
        """End it: nothing is built here any more; what is left is how to clean up."""
        with self._owner.lock:
            self.closed = True
            exits = list(self._exits or ())
            if self._exits:
                self._exits.clear()
            self.values.clear()
        return exits

    def forget(self, override: object) -> None:
        """Drop what was built with an override that is over."""
        for key in list(self.values):
            if isinstance(key, tuple) and override in key[1]:
                del self.values[key]

    def _take_over(self, exits: Sequence[Exit], name: str) -> None:
        if self.closed:
            raise DependencyError(f"what {name} was being built for has ended meanwhile")
        if self._exits is None:
            self._exits = _Exits()
            self._owner.occupied.add(self)
        self._exits.extend(exits)


class _Exits(list["Exit"]):
    """How things are closed; tells if it is lost before they were."""

    def __del__(self) -> None:
        if self:
            message = (
                f"{len(self)} dependencies were never cleaned up: end a context with "
                "`await container.end(context)`, and a container with `await container.aclose()`"
            )
            warnings.warn(message, ResourceWarning, stacklevel=1)


class Scopes:
    """The scopes of one container. A context's own lives in the context, and no longer."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.kernel = Scope(self)
        self.occupied: WeakSet[Scope] = WeakSet()
        """Those with something to clean up."""

    def found(self, context: ExecutionContext | None) -> Scope | None:
        """The scope of a context, if anything was built for it."""
        # The property would make a dictionary for nothing, and takes longer than a lookup may.
        if context is not None and (attached := context._attached):  # noqa: SLF001 - as said
            return attached.get(self)
        return None

    def of(self, context: ExecutionContext) -> Scope:
        """The scope of a context, opened when first asked for."""
        scope = self.found(context)
        return context.attached.setdefault(self, Scope(self)) if scope is None else scope

    def take(self, context: ExecutionContext) -> Scope | None:
        """The scope of a context that ends; what is asked for later gets another."""
        scope: Scope | None = context.attached.pop(self, None)
        return scope
