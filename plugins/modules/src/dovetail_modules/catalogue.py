"""All modules there are, from the store, the folder and other plugins."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

import structlog

from dovetail import DovetailError, Problem
from dovetail_modules.sourced import Broken, Snapshot, SourcedModule, merged
from dovetail_modules.stored import read_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dovetail_modules.definition import ModuleDefinition
    from dovetail_modules.folder import ModuleFolder
    from dovetail_modules.offered import OfferedModules
    from dovetail_modules.repository import ModuleRepository

log = structlog.get_logger("dovetail")


class Catalogue:
    """The modules, looked for again at most every `refresh` seconds.

    A name in several sources is that of the store, else of the folder, else of a plugin.
    """

    def __init__(
        self,
        *,
        folder: ModuleFolder | None = None,
        offered: OfferedModules | None = None,
        store: Callable[[], ModuleRepository | None] = lambda: None,
        store_name: str = "",
        fixed: Sequence[ModuleDefinition] = (),
        refresh: float = 1.0,
    ) -> None:
        """`fixed` are modules that a program gives, in place of a folder."""
        self._folder = folder
        self._offered = offered
        self._store = store
        self._store_name = store_name
        self._fixed = [SourcedModule(module, "program", "program") for module in fixed]
        self._refresh = refresh
        self._looking = asyncio.Lock()
        self._next = -math.inf
        self._revision: int | None = None
        self._stored: tuple[list[SourcedModule], list[Broken]] = ([], [])
        self._told: set[str] = set()
        self.snapshot = Snapshot()
        """The modules as they were last seen."""
        if folder is None and offered is None and not store_name:
            self.snapshot = merged({"program": self._fixed}, [], 1)
            self._next = math.inf

    @property
    def fresh(self) -> bool:
        """Whether there is nothing to look for yet."""
        return time.monotonic() < self._next

    def forget(self) -> None:
        """Look again next time, whatever `refresh` says."""
        if self._next != math.inf:
            self._next = -math.inf

    async def current(self) -> Snapshot:
        """The modules as they are now."""
        if self.fresh or (self._looking.locked() and self.snapshot.number):
            return self.snapshot
        async with self._looking:
            if not self.fresh:
                await self._look()
        return self.snapshot

    async def _look(self) -> None:
        changed = self.snapshot.number == 0
        if self._folder is not None:
            changed |= await asyncio.to_thread(self._folder.look)
        if self._offered is not None:
            changed |= self._offered.look()
        if self._store_name:
            changed |= await self._look_into_store()
        if changed:
            folder, broken = self._folder.modules() if self._folder is not None else ([], [])
            offered = self._offered.found if self._offered is not None else []
            sources = {"store": self._stored[0], "folder": [*self._fixed, *folder]}
            broken = [*self._stored[1], *broken, *(self._offered.broken if self._offered else ())]
            number = self.snapshot.number + 1
            self.snapshot = merged({**sources, "plugin": offered}, broken, number)
            self._tell()
        self._next = time.monotonic() + self._refresh

    async def _look_into_store(self) -> bool:
        """Read the store if it was written to; whether what is known of it is another now."""
        before = self._stored
        try:
            repository = self._store()
            if repository is None:
                message = f"there is no service `{self._store_name}_modules` to keep modules"
                hint = f"name the plugin that brings it: [plugins.{self._store_name}]"
                raise _Away(Problem(message, "[plugins.modules] store", hint))
            revision = await repository.revision()
            if revision != self._revision:
                self._stored = await read_store(repository, self._store_name)
                self._revision = revision
        except Exception as error:  # noqa: BLE001 - a store may raise anything; turns go on without
            self._revision = None
            problem = error.problem if isinstance(error, _Away) else _unreadable(error)
            kept = [broken for broken in before[1] if broken.name]
            self._stored = before[0], [Broken("", problem), *kept]
        return self._stored != before

    def _tell(self) -> None:
        """Log what is newly wrong."""
        problems = {str(broken.problem) for broken in self.snapshot.broken}
        for problem in sorted(problems - self._told):
            log.warning("a module cannot be used", problem=problem)
        self._told = problems


class _Away(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def _unreadable(error: Exception) -> Problem:
    what = str(error) if isinstance(error, DovetailError) else type(error).__name__
    return Problem(f"the store of modules cannot be read: {what}", "[plugins.modules] store")
