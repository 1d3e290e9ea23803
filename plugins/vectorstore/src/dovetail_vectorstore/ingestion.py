"""The service `ingestion`: files and folders into the store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail import ContextAwareService
from dovetail_vectorstore.ingestion_settings import IngestionSettings
from dovetail_vectorstore.scope import check_scope
from dovetail_vectorstore.store import VectorStore
from dovetail_vectorstore.tokens import estimate_tokens
from dovetail_vectorstore.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dovetail import SmartDependencyContainer
    from dovetail_vectorstore.ingested import Ingested, Progress
    from dovetail_vectorstore.scope import Scope
    from dovetail_vectorstore.tokens import TokenCounter


class Ingestion(ContextAwareService):
    """Reads files, cuts them into chunks and keeps these in the vector store.

    Its settings stand in `[plugins.vectorstore.ingestion]`. `count` says how many tokens a text
    has: unless a host sets it, the embedding model if it can tell, or else an estimate.
    """

    name = "ingestion"
    settings: IngestionSettings
    shared: Vault

    def __init__(self, dependency_container: SmartDependencyContainer | None = None) -> None:
        super().__init__(dependency_container)
        self.settings = IngestionSettings()
        self.count: TokenCounter | None = None

    async def add(
        self,
        paths: Iterable[str | Path],
        *,
        scope: Scope,
        collection: str = "",
        base: str | Path = "",
        exclude: Iterable[str] = (),
        prune: bool = False,
        progress: Progress | None = None,
    ) -> Ingested:
        """Take in files, and all files of folders that can be read, for the owner of `scope`.

        A file that is there unchanged is skipped, and one that changed is replaced. `prune` removes
        what is there of these paths and is not on disk any more. A document's `source` is its path
        from `base`, the working directory unless it is given. A document that cannot be read is
        listed in `failed`, and the others go on. If this is broken off, by an error or by the end
        of the process, the same call goes on from there.

        Raises:
            ProviderError: the embedding model cannot be asked.
            VectorStoreError: the store cannot keep anything.
        """
        from dovetail_vectorstore.intake import Intake, Target
        from dovetail_vectorstore.walking import walk

        root, tops = Path(base), [Path(path) for path in paths]
        left_out = (*self.settings.exclude, *exclude)
        found = await asyncio.to_thread(lambda: list(walk(tops, root, left_out)))
        target = Target(self._store(), check_scope(scope), collection)
        count = self.count or await self.shared.embedder.token_counter() or estimate_tokens
        intake = Intake(target, self.settings, count, progress)
        await intake.run(found)
        if prune:
            await intake.prune(tops, root)
        return intake.result

    def _store(self) -> VectorStore:
        store = VectorStore(self.dependency_container)
        store.shared = self.shared
        return store
