"""Where modules are kept that programs write.

A repository keeps versions of documents and knows nothing of what stands in them, so that a plugin
with a database can offer one without importing this: as a service named `NAME_modules`, which
`[plugins.modules] store = "NAME"` chooses.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT_VERSIONS = 100
"""How many versions of a module are kept, unless it is said otherwise."""

Row: TypeAlias = "tuple[str, int, datetime, str | None]"
"""Name, version, when it was written (aware, UTC), and the document: JSON text, None if that
version is the module's deletion."""


class ModuleRepository(Protocol):
    """Keeps versions of documents by name. All methods may be called by many tasks at once.

    Versions of a name count from 1 and are never used again, also after a deletion, which is a
    version itself. Names are compared code point by code point.
    `plugins/modules/tests/repository_contract.py` says the same as tests.
    """

    async def append(
        self, name: str, version: int, document: str | None, *, keep: int = KEPT_VERSIONS
    ) -> datetime | None:
        """Keep `document` as the `version` of `name`, if that is the one after its latest.

        Gives the time that is kept with it, or None if it is not the next: nothing has changed
        then. Of several that append the same version one succeeds. Of the name's versions the
        latest `keep` stay.
        """

    async def latest(self, *, after: str = "", limit: int = 100) -> Sequence[Row]:
        """The latest version of each name that is not deleted, by name, those that follow `after`.

        At most `limit`: the last name of a page asks for the next.
        """

    async def versions(self, name: str, *, limit: int = 100) -> Sequence[Row]:
        """The latest versions of a name, the newest first, deletions too; none for an unknown."""

    async def read(self, name: str, version: int | None = None) -> Row | None:
        """A version of a name, the latest if none is said; None if it is not there."""

    async def revision(self) -> int:
        """A number that differs after every `append` that succeeded, by whichever process."""


class InMemoryModuleRepository(ModuleRepository):
    """Keeps them as long as the process lasts."""

    def __init__(self) -> None:
        self._rows: dict[str, deque[Row]] = {}
        self._revision = 0

    async def append(
        self, name: str, version: int, document: str | None, *, keep: int = KEPT_VERSIONS
    ) -> datetime | None:
        """Keep a version; see `ModuleRepository.append`."""
        rows = self._rows.get(name)
        if version != (rows[-1][1] if rows else 0) + 1:
            return None
        at = datetime.now(UTC)
        kept = deque(rows or (), maxlen=keep)
        kept.append((name, version, at, document))
        self._rows[name] = kept
        self._revision += 1
        return at

    async def latest(self, *, after: str = "", limit: int = 100) -> Sequence[Row]:
        """A page of names; see `ModuleRepository.latest`."""
        names = sorted(name for name, rows in self._rows.items() if name > after and rows[-1][3])
        return [self._rows[name][-1] for name in names[:limit]]

    async def versions(self, name: str, *, limit: int = 100) -> Sequence[Row]:
        """Its versions; see `ModuleRepository.versions`."""
        return list(reversed(self._rows.get(name, ())))[:limit]

    async def read(self, name: str, version: int | None = None) -> Row | None:
        """One version; see `ModuleRepository.read`."""
        rows = self._rows.get(name, ())
        if version is None:
            return rows[-1] if rows else None
        return next((row for row in rows if row[1] == version), None)

    async def revision(self) -> int:
        """How often something was written."""
        return self._revision
