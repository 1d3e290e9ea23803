"""The whole store on PostgreSQL, in a kernel, as its config says."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

import dovetail_postgres
from dovetail import Kernel
from dovetail.testing import FakeModel, fake_plugin
from dovetail_postgres import PostgresModules
from dovetail_postgres.vectors import PostgresVectors
from dovetail_vectorstore import Item, Scope
from dovetail_vectorstore.errors import WrongModel

if TYPE_CHECKING:
    from plugins.postgres.tests.server import Server

ADA, BOB = Scope.user("ada"), Scope.user("bob")


def config(server: Server, schema: str, **more: Any) -> dict[str, Any]:
    return {
        "chat": {"model": "fake", "embedding_model": "fake"},
        "providers": {"fake": {}, "notes": {"use": "vectorstore", "remember": "user"}},
        "plugins": {
            "vectorstore": {"backend": "pgvector"},
            "postgres": {"url": server.url, "schema": schema, **more},
        },
    }


async def test_what_one_kernel_keeps_another_finds(server: Server, schema: str) -> None:
    written = config(server, schema, pgvector={"ef_search": 50})
    async with (
        Kernel.open(written, env={}).register("fake", fake_plugin()) as one,
        Kernel.open(written, env={}).register("fake", fake_plugin()) as other,
    ):
        ours, theirs = one.services.get("vector_store"), other.services.get("vector_store")
        items = [Item(f"note {n} \0 \ud800", f"{n}.md", {"n": n}, f"{n}") for n in range(30)]
        added = await ours.add(items, scope=ADA)
        assert (added.added, len(added.refused)) == (30, 0)
        assert (await theirs.add(items, scope=ADA)).unchanged == 30
        for mode in ("vector", "text", "hybrid"):
            asked = {"query": items[7].text, "mode": mode, "filters": {"n": {"$lt": 9}}}
            assert (await theirs.search(**asked, scope=ADA))[0].id == "7"
            assert await theirs.search(**asked, scope=BOB) == []
        assert await theirs.delete(scope=ADA, filters={"n": 7}) == 1
        assert await ours.get(["7"], scope=ADA) == []


async def test_what_waits_when_the_kernel_closes_is_kept(server: Server, schema: str) -> None:
    written = config(server, schema)
    async with Kernel.open(written, env={}).register("fake", fake_plugin()) as kernel:
        for n in range(5):
            await kernel.chat(f"What is number {n}?", session="s", user="ada")
    async with Kernel.open(written, env={}).register("fake", fake_plugin()) as kernel:
        hits = await kernel.services.get("vector_store").search("number 3", scope=ADA)
    assert len(hits) == 5


async def test_another_model_is_refused_until_the_texts_are_embedded_again(
    server: Server, schema: str
) -> None:
    written = config(server, schema)
    async with Kernel.open(written, env={}).register("fake", fake_plugin()) as kernel:
        await kernel.services.get("vector_store").add(["a joint", "a mortise"], scope=ADA)
    written["plugins"]["vectorstore"]["dimensions"] = 5
    async with Kernel.open(written, env={}).register("fake", fake_plugin(FakeModel())) as kernel:
        store = kernel.services.get("vector_store")
        with pytest.raises(WrongModel, match="dovetail knowledge reindex documents"):
            await store.search("a joint", scope=ADA)
        done = await store.reindex()
        assert (done.embedded, done.vectors) == (2, 2)
        assert (await store.search("a joint", scope=ADA, mode="vector"))[0].text == "a joint"
        stats = await store.stats()
    assert (stats.backend, stats.collection.dimension) == ("pgvector", 5)


def test_without_the_vector_store_the_plugin_brings_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert dovetail_postgres.services() == [PostgresModules, PostgresVectors]
    monkeypatch.setattr(dovetail_postgres, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "dovetail_vectorstore", None)
    assert dovetail_postgres.services() == [PostgresModules]
