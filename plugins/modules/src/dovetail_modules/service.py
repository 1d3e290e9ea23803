"""The service `module_service`: modules for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias

from dovetail import ContextAwareService
from dovetail_modules.component import Modules
from dovetail_modules.errors import ModuleConflict, ModuleError, ModuleMissing
from dovetail_modules.resolver import StagedModuleResolver
from dovetail_modules.stored import StoredModule, document_of, stored

if TYPE_CHECKING:
    from dovetail_modules.definition import ModuleDefinition
    from dovetail_modules.repository import ModuleRepository
    from dovetail_modules.resolution.host_turn import Db
    from dovetail_modules.sourced import Snapshot

PAGE = 500
StoredModules: TypeAlias = list[StoredModule]
MOST_VERSIONS = 100


class ModuleService(ContextAwareService):
    """Writes modules into the store that `[plugins.modules] store` names, and reads them there.

    Every change is a version. Changes that take `version` are made only if that is still the
    latest, so that nobody's work is lost unseen.
    """

    name: ClassVar[str] = "module_service"
    shared: Modules

    async def start(self) -> None:
        """Let the modules have the kernel."""
        self.shared.attach(self.dependency_container)

    async def modules(self) -> Snapshot:
        """The modules of all sources, as they are used now."""
        return await self.shared.catalogue.current()

    def resolver(self, db_session: Db = None) -> StagedModuleResolver:
        """A resolver with these modules, and this kernel's models and scripts."""
        return StagedModuleResolver(db_session, shared=self.shared)

    async def create(self, module: ModuleDefinition) -> StoredModule:
        """Keep a new module.

        Raises:
            ModuleConflict: the store has one of this name.
        """
        store = self._store()
        row = await store.read(module.name)
        if row is not None and row[3] is not None:
            raise ModuleConflict(f"there is a module `{module.name}` already: update it")
        return await self._append(store, module.name, row[1] + 1 if row else 1, module)

    async def read(self, name: str, version: int | None = None) -> StoredModule:
        """A module as it is in the store, or as it was in a version.

        Raises:
            ModuleMissing: it is not there.
        """
        row = await self._store().read(name, version)
        if row is None or (version is None and row[3] is None):
            what = f"no version {version} of the module" if version is not None else "no module"
            raise ModuleMissing(f"the store has {what} `{name}`")
        return stored(row)

    async def update(self, module: ModuleDefinition, version: int) -> StoredModule:
        """Keep `module` in the place of its latest version, which is to be `version`.

        Raises:
            ModuleConflict: it is not: somebody else changed or deleted it.
            ModuleMissing: there is none of this name.
        """
        await self.read(module.name)
        return await self._append(self._store(), module.name, version + 1, module)

    async def delete(self, name: str, version: int | None = None) -> StoredModule:
        """Take a module out; its versions stay, and `revert` brings one back.

        Raises:
            ModuleConflict: its latest version is not `version`, if that is given.
            ModuleMissing: there is none of this name.
        """
        latest = await self.read(name)
        return await self._append(self._store(), name, (version or latest.version) + 1, None)

    async def list(self) -> StoredModules:
        """Every module of the store, by name."""
        store, after = self._store(), ""
        found: StoredModules = []
        while rows := await store.latest(after=after, limit=PAGE):
            found += map(stored, rows)
            after = rows[-1][0]
        return found

    async def history(self, name: str, limit: int = MOST_VERSIONS) -> StoredModules:
        """The latest versions of a module, the newest first, deletions too.

        Raises:
            ModuleMissing: there was none of this name.
        """
        rows = await self._store().versions(name, limit=limit)
        if not rows:
            raise ModuleMissing(f"the store has no module `{name}`")
        return [stored(row) for row in rows]

    async def revert(self, name: str, to: int, version: int | None = None) -> StoredModule:
        """Make version `to` the latest once more, by a version of its own; a deleted one too.

        Raises:
            ModuleConflict: its latest version is not `version`, if that is given.
            ModuleMissing: there is no such version, or it is a deletion.
        """
        store = self._store()
        old, row = await self.read(name, to), await store.read(name)
        if old.definition is None or row is None:
            raise ModuleMissing(f"version {to} of the module `{name}` is its deletion")
        return await self._append(store, name, (version or row[1]) + 1, old.definition)

    async def _append(
        self, store: ModuleRepository, name: str, version: int, module: ModuleDefinition | None
    ) -> StoredModule:
        document = document_of(module) if module is not None else None
        at = await store.append(name, version, document)
        self.shared.catalogue.forget()
        if at is None:
            message = f"the latest version of the module `{name}` is not {version - 1} any more"
            raise ModuleConflict(f"{message}: read it again")
        return StoredModule(name=name, version=version, changed_at=at, definition=module)

    def _store(self) -> ModuleRepository:
        store = self.shared.repository()
        if store is None:
            named = self.shared.settings.store
            if named:
                raise ModuleError(
                    f"there is no service `{named}_modules` to keep modules: name the plugin that "
                    f"brings it, by [plugins.{named}]"
                )
            raise ModuleError(
                'no store for modules: write `store = "memory"`, or the name of a plugin that has '
                "one, into [plugins.modules]"
            )
        return store
