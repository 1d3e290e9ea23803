"""The event provider: keeps what turns gave, and documents that others tell of."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from dovetail import EventProvider, current_context
from dovetail_vectorstore.errors import ScopeError, VectorStoreError
from dovetail_vectorstore.items import Added, Item
from dovetail_vectorstore.provider_settings import VectorStoreProviderSettings
from dovetail_vectorstore.scope import Scope
from dovetail_vectorstore.settings import VectorStoreSettings
from dovetail_vectorstore.sources import LISTED
from dovetail_vectorstore.store import VectorStore
from dovetail_vectorstore.updating import Place
from dovetail_vectorstore.vault import Vault

if TYPE_CHECKING:
    from dovetail import EmbeddingProvider

log = structlog.get_logger("dovetail")

IN_MEMORY = "test://"
GAP = "\n\n"
_UNTOLD = ("error", "cancelled")
"""Finish reasons of answers that are not worth remembering."""


class VectorStoreProvider(EventProvider):
    """Keeps the answers of turns, if the config wants that, and documents.

    - `agent_complete`: what was asked and answered, for its user or session.
    - `knowledge_update`: documents to keep, and `knowledge_delete`: those to remove; see
      `update_embeddings` and `delete_embeddings` for their data.
    - `session_deleted`: what was remembered of the session goes too.

    Events wait in its queue, and no turn waits for it; when that is full, the newest is dropped.
    What is there already is not kept twice.
    """

    settings: VectorStoreProviderSettings
    shared: Vault
    events = ("agent_complete", "knowledge_update", "knowledge_delete", "session_deleted")
    delivery = "queued"
    when_full = "drop_newest"
    handler_timeout = 300.0
    drain_timeout = 8.0

    def __init__(
        self, connection: str | None = None, *, provider: EmbeddingProvider | None = None
    ) -> None:
        """A host without a kernel names a `connection`, and perhaps who makes vectors.

        `test://…` is a store in memory, anything else the folder of an embedded one. Such a
        provider remembers every turn for its user; it opens with `start()`, or when first used.
        """
        self._own: Vault | None = None
        self._vectors: VectorStore | None = None
        self._opening = asyncio.Lock()
        self._open = False
        self._last: tuple[str, Scope, str] | None = None
        if connection is not None:
            memory = connection.startswith(IN_MEMORY)
            chosen = {"backend": "memory"} if memory else {"path": connection}
            settings = VectorStoreSettings.model_validate(chosen)
            self._own = self.shared = Vault(settings=settings, provider=provider)
            self.settings = VectorStoreProviderSettings(remember="user")

    async def initialize(self) -> None:
        """Open the store, if it is its own."""
        await self._open_own()

    async def stop(self) -> None:
        """Close the store, if it is its own."""
        self._open = False
        if self._own is not None:
            await self._own.stop()

    async def handle_event(self, event: str, data: Any) -> None:
        """Do what the event asks for."""
        if event == "agent_complete":
            await self.store_output(data)
        elif event == "knowledge_update":
            added = await self.update_embeddings(data)
            for refused in added.refused:
                message = "a document was not kept"
                log.warning(message, source=refused.item.source, why=refused.reason)
        elif event == "knowledge_delete":
            await self.delete_embeddings(data)
        elif event == "session_deleted":
            await self._forget(data)

    async def store_output(self, data: Mapping[str, Any]) -> str | None:
        """Keep what a turn gave, as `agent_complete` has it; its id, or None if it is not kept.

        It is not where `remember` is "off", where there is no output, and where the answer failed
        or was cancelled.
        """
        output = data.get("output")
        failed = data.get("error") or data.get("finish_reason") in _UNTOLD
        if self.settings.remember == "off" or failed or not isinstance(output, str):
            return None
        context = current_context()
        output = output.removesuffix(context.get_property(LISTED, "") if context else "")
        if not output.strip():
            return None
        most = self.settings.max_length
        asked = _question(data.get("input"), max(most // 2, most - len(output)))
        text = f"{asked}{output}"[:most]
        known = ("session_id", "run_id", "agent_id", "model")
        metadata = {key: str(data[key]) for key in known if data.get(key) is not None}
        item = Item(text, _session(data), {"kind": "turn", "answer_at": len(asked), **metadata})
        scope = self._scope(data)
        store = await self._store()
        added = await store.add([item], scope=scope, collection=self.settings.collection)
        for refused in added.refused:
            message = "a turn was not kept"
            log.warning(message, why=refused.reason)
        item_id = added.ids[0]
        if item_id is not None:
            self._last = (self.settings.collection, scope, item_id)
        return item_id

    async def update_embeddings(self, data: Any) -> Added:
        """Embed and keep documents; those that are long as several passages, all or none.

        What is counted are passages; `ids` and `refused` are of the documents, in order.

        `data` has `documents`: a list of texts, or of mappings with `text` and perhaps `id`,
        `source` and `metadata`. It says whose they are: `user_id`, perhaps with `session_id`, or
        `shared: true`. `collection` is the provider's unless it is there.

        Raises:
            VectorStoreError: this is not in it.
        """
        documents = data.get("documents") if isinstance(data, Mapping) else None
        if isinstance(documents, (str, Mapping)):
            documents = [documents]
        if not isinstance(documents, Sequence):
            raise VectorStoreError(
                "`knowledge_update` takes `documents`, a list of texts or of mappings with `text`"
            )
        scope = _said(data)
        items = [_item(document) for document in documents]
        place = Place(await self._store(), scope, self._collection(data))
        return await place.keep(items, self.settings.chunk_tokens)

    async def delete_embeddings(self, data: Any) -> int:
        """Remove documents; how many passages.

        `data` has `ids`, `sources` or both, which narrow each other, and says whose they are, as
        for `update_embeddings`.

        Raises:
            VectorStoreError: this is not in it.
        """
        ids, sources = (
            (data.get("ids"), data.get("sources")) if isinstance(data, Mapping) else (None, None)
        )
        if ids is None and sources is None:
            raise VectorStoreError("`knowledge_delete` takes `ids`, `sources` or both")
        ids, sources = _texts("ids", ids), _texts("sources", sources)
        place = Place(await self._store(), _said(data), self._collection(data))
        return await place.remove(ids, sources)

    async def get_stored_data(self) -> str | None:
        """The output that was kept last; None if there is none any more."""
        if self._last is None:
            return None
        collection, scope, item_id = self._last
        store = await self._store()
        found = await store.get([item_id], scope=scope, collection=collection)
        return found[0].text[found[0].metadata["answer_at"] :] if found else None

    async def _forget(self, data: Any) -> None:
        """Also what another setting of `remember` kept."""
        if not isinstance(data, Mapping) or data.get("session_id") is None:
            return
        user, session = data.get("user_id"), data["session_id"]
        store = await self._store()
        for scope in (Scope.user(user), Scope.user(user, session=session)):
            await store.delete(
                scope=scope,
                collection=self.settings.collection,
                filters={"source": _session(data), "kind": "turn"},
            )

    def _scope(self, data: Mapping[str, Any]) -> Scope:
        session = data.get("session_id")
        if self.settings.remember == "session" and session is not None:
            return Scope.user(data.get("user_id"), session=session)
        return Scope.user(data.get("user_id"))

    def _collection(self, data: Mapping[str, Any]) -> str:
        return str(data.get("collection") or self.settings.collection)

    async def _open_own(self) -> None:
        if self._own is not None and not self._open:
            async with self._opening:
                if not self._open:
                    await self._own.start()
                    self._open = True

    async def _store(self) -> VectorStore:
        await self._open_own()
        if self._vectors is None:
            self._vectors = VectorStore()
            self._vectors.shared = self.shared
        return self._vectors


def _said(data: Mapping[str, Any]) -> Scope:
    """Whose it is, which has to be said: nobody's documents become everybody's by mistake."""
    if data.get("shared") is True:
        return Scope.shared()
    if "user_id" in data:
        return Scope.user(data["user_id"], session=data.get("session_id"))
    raise ScopeError("say whose documents these are: `user_id`, or `shared: true`")


def _session(data: Mapping[str, Any]) -> str:
    session = data.get("session_id")
    return "turn" if session is None else f"session {session}"


def _item(document: Any) -> Item:
    """As it is: what cannot be kept is refused by itself, and named."""
    if not isinstance(document, Mapping):
        return Item(document)
    return Item(
        document.get("text", ""),
        document.get("source") or "",
        document.get("metadata") or {},
        document.get("id") or "",
    )


def _texts(key: str, values: Any) -> list[str] | None:
    if values is None or isinstance(values, str):
        return None if values is None else [values]
    if isinstance(values, bytes) or not isinstance(values, Collection):
        raise VectorStoreError(f"`{key}` of `knowledge_delete` takes a list of texts")
    return [str(value) for value in values]


def _question(asked: Any, room: int) -> str:
    """What was asked, as it stands above the answer, in `room` characters; empty if nothing was."""
    words = asked.strip() if isinstance(asked, str) else ""
    if not words:
        return ""
    fits = len(words) + len(GAP) <= room
    return f"{words if fits else words[: room - len(GAP) - 1] + '…'}{GAP}"
