"""Taking documents in: read ahead, kept some at a time, each as a whole or not at all."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dovetail_vectorstore.chunking import chunks_of
from dovetail_vectorstore.documents import UnreadableDocument
from dovetail_vectorstore.ingested import Failed, Ingested, State
from dovetail_vectorstore.ledger import Ledger, document_hash, items_of, of_source, stale
from dovetail_vectorstore.readers import read_document
from dovetail_vectorstore.walking import File, gone, is_in, read_file, source_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
    from pathlib import Path

    from dovetail_vectorstore.ingested import Progress
    from dovetail_vectorstore.ingestion_settings import IngestionSettings
    from dovetail_vectorstore.items import Item
    from dovetail_vectorstore.scope import Scope
    from dovetail_vectorstore.store import VectorStore
    from dovetail_vectorstore.tokens import TokenCounter

TOGETHER = 256
"""Chunks, or documents, from which on those that were read are kept."""


@dataclass(slots=True)
class _Document:
    file: File
    hash: str = ""
    items: list[Item] = field(default_factory=list)
    """Empty if it is there already."""
    failed: str = ""

    @property
    def source(self) -> str:
        return self.file.source


@dataclass(frozen=True, slots=True)
class Target:
    """Where documents are kept, and for whom."""

    store: VectorStore
    scope: Scope
    collection: str

    async def delete(self, filters: Mapping[str, object]) -> None:
        """Remove what passes."""
        await self.store.delete(scope=self.scope, collection=self.collection, filters=filters)


class Intake:
    """One call of `Ingestion.add`."""

    def __init__(
        self,
        target: Target,
        settings: IngestionSettings,
        count: TokenCounter,
        progress: Progress | None,
    ) -> None:
        self.result = Ingested()
        self._target = target
        self._settings = settings
        self._count = count
        self._progress = progress
        self._ledger = Ledger({}, ())
        self._found: frozenset[str] = frozenset()
        self._done = self._total = 0

    async def run(self, found: Sequence[File | Failed]) -> None:
        """Take in all that was found."""
        target = self._target
        self._ledger = await Ledger.read(target.store, target.scope, target.collection)
        self._found = frozenset(one.source for one in found if isinstance(one, File))
        self._total = sum(one.size for one in found if isinstance(one, File))
        group: list[_Document] = []
        chunks = 0
        async with aclosing(self._documents(found)) as documents:
            async for document in documents:
                group.append(document)
                chunks += len(document.items)
                if max(chunks, len(group)) >= TOGETHER:
                    await self._keep(group)
                    group, chunks = [], 0
        await self._keep(group)

    async def prune(self, tops: Iterable[Path], root: Path) -> None:
        """Remove what is there of `tops` and has no file any more; after `run`."""
        below = [source_of(top, root) for top in tops]
        for source in sorted(self._ledger.sources - self._found):
            asked = any(is_in(source, top) for top in below)
            if asked and gone(root / source):
                await self._target.delete(of_source(source))
                self.result.removed.append(source)

    async def _documents(self, found: Sequence[File | Failed]) -> AsyncGenerator[_Document, None]:
        """The documents, in order; the next is read while one is kept."""
        ahead: asyncio.Task[_Document] | None = None
        try:
            for one in found:
                if isinstance(one, Failed):
                    self.result.failed.append(one)
                    continue
                before, ahead = ahead, asyncio.create_task(asyncio.to_thread(self._read, one))
                if before is not None:
                    yield await before
            if ahead is not None:
                yield await ahead
        finally:
            if ahead is not None and not ahead.done():
                ahead.cancel()

    def _read(self, file: File) -> _Document:
        """A file's items, in a thread."""
        settings = self._settings
        limit, overlap = settings.chunk_tokens, settings.overlap_tokens
        try:
            data = read_file(file, int(settings.max_file_mb * 1e6))
            made = document_hash(data, limit, overlap, settings.encoding)
            if self._ledger.has(file.source, made):
                return _Document(file, made)
            blocks = read_document(data, file.path.name, encoding=settings.encoding)
            chunks = list(chunks_of(blocks, limit=limit, overlap=overlap, count=self._count))
            return _Document(file, made, items_of(file.source, made, chunks))
        except UnreadableDocument as error:
            return _Document(file, failed=str(error))
        except Exception as error:  # noqa: BLE001 - whatever a file does to a reader, others go on
            return _Document(file, failed=f"it cannot be read: {type(error).__name__}: {error}")

    async def _keep(self, group: list[_Document]) -> None:
        """Keep the documents of `group`: their first parts last, which say that all is there."""
        there = self._ledger.sources
        fresh = [document for document in group if document.items]
        rest = [(one, item) for one in fresh for item in one.items[1:]]
        heads = [(one, one.items[0]) for one in fresh]
        size = sum(one.file.size for one in group)
        share = size / (len(rest) + len(heads)) if heads else 0.0
        await self._add(rest, share, 0)
        for document in fresh:
            if document.source in there and not document.failed:
                await self._target.delete(stale(document.source, document.hash))
        await self._add([pair for pair in heads if not pair[0].failed], share, len(rest))
        for document in group:
            await self._note(document)
        self._done += size
        self._tell(self._done, group[-1].source if group else "")

    async def _add(self, pairs: list[tuple[_Document, Item]], share: float, before: int) -> None:
        """Keep items; those that are refused are their documents' failure."""
        if not pairs:
            return
        added = await self._target.store.add(
            [item for _, item in pairs],
            scope=self._target.scope,
            collection=self._target.collection,
            progress=lambda done, _: self._tell(self._done + share * (before + done), ""),
        )
        self.result.chunks += added.added + added.updated
        for refused in added.refused:
            document = pairs[refused.index][0]
            part = document.items.index(refused.item) + 1
            document.failed = f"part {part} of {len(document.items)}: {refused.reason}"

    async def _note(self, document: _Document) -> None:
        source, result = document.source, self.result
        if document.failed:
            if document.items:  # a document is there as a whole, or not at all
                await self._target.delete(of_source(source))
            result.failed.append(Failed(source, document.failed))
        elif not document.items:
            result.unchanged.append(source)
        elif self._ledger.knows(source):
            result.changed.append(source)
        else:
            result.added.append(source)

    def _tell(self, done: float, source: str) -> None:
        if self._progress is not None:
            self._progress(State(done, self._total, source))
