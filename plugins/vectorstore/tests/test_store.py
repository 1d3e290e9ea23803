"""What the service `vector_store` does with items, searches and scopes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from dovetail import ExecutionContext, Kernel, ProviderUnavailable
from dovetail.testing import fake_plugin
from dovetail_vectorstore import Item, Scope, VectorStore, VectorStoreSettings, open_store
from dovetail_vectorstore.errors import (
    FilterError,
    ItemRefused,
    ScopeError,
    VectorStoreError,
    WrongModel,
)
from dovetail_vectorstore.fusion import fuse
from dovetail_vectorstore.items import Hit
from dovetail_vectorstore.testing import row
from plugins.vectorstore.tests.storing import ADA, BOB, MEMORY, Embeddings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def model() -> Embeddings:
    return Embeddings()


@pytest.fixture
async def store(model: Embeddings) -> AsyncIterator[VectorStore]:
    async with open_store(MEMORY, model) as store:
        yield store


async def test_a_text_is_found_by_itself_in_every_mode(store: VectorStore) -> None:
    await store.add(["a dovetail joint", "a mortise", "glue"], scope=ADA)
    for mode in ("vector", "text", "hybrid", None):
        (best, *_) = await store.search("a dovetail joint", scope=ADA, mode=mode)
        assert best.text == "a dovetail joint"


async def test_a_hybrid_search_finds_what_either_way_finds(store: VectorStore) -> None:
    await store.add(["joint of wood", "something else"], scope=ADA)
    found = await store.search("wood", scope=ADA)
    assert [hit.text for hit in found] == ["joint of wood", "something else"]
    assert all(0 < hit.score <= 1 for hit in found)


async def test_a_vector_may_be_searched_for(store: VectorStore) -> None:
    vectors = [[1.0, 0.0], [0.0, 3.0]]
    await store.add([Item(t, vector=v) for t, v in zip("ab", vectors, strict=True)], scope=ADA)
    (first, second) = await store.search([0, 5], scope=ADA)
    assert (first.text, first.score, second.score) == ("b", 1, 0)
    assert await store.search([0, 1], scope=ADA, threshold=0.5) == [first]
    with pytest.raises(ValueError, match="takes a text"):
        await store.search([0, 1], scope=ADA, mode="hybrid")


async def test_a_threshold_keeps_off_what_does_not_fit(store: VectorStore) -> None:
    await store.add(["wood", "other"], scope=ADA)
    by_meaning = await store.search("wood", scope=ADA, mode="vector", threshold=0.99)
    assert [hit.text for hit in by_meaning] == ["wood"]
    assert await store.search("wood", scope=ADA, mode="text", threshold=1e9) == []
    assert [h.text for h in await store.search("wood", scope=ADA, threshold=0.99)] == ["wood"]


async def test_nothing_stored_is_nothing_found_and_nobody_is_asked(
    store: VectorStore, model: Embeddings
) -> None:
    assert await store.search("anything", scope=ADA) == []
    assert await store.search([1, 2], scope=Scope.everyone()) == []
    assert await store.get(["1"], scope=ADA) == []
    assert await store.delete(scope=ADA, filters={}) == 0
    assert await store.stats() is None
    assert model.batches == []


async def test_what_is_there_is_not_embedded_again(store: VectorStore, model: Embeddings) -> None:
    first = await store.add(["one", "two", "one"], scope=ADA)
    again = await store.add(["two", "three"], scope=ADA)
    assert (first.added, first.unchanged, again.added, again.unchanged) == (2, 1, 1, 1)
    assert first.ids[0] == first.ids[2]
    assert first.ids[1] == again.ids[0]
    assert sorted(model.texts) == ["one", "three", "two"]


async def test_another_source_is_another_item_and_other_metadata_the_same(
    store: VectorStore, model: Embeddings
) -> None:
    await store.add([Item("text", "a.md"), Item("text", "b.md")], scope=ADA)
    added = await store.add([Item("text", "a.md", {"page": 2})], scope=ADA)
    assert (added.updated, added.added) == (1, 0)
    assert model.texts == ["text"]
    (found,) = await store.get([str(added.ids[0])], scope=ADA)
    assert found.metadata == {"page": 2}
    assert [(s.source, s.items) for s in await store.sources(scope=ADA)] == [
        ("a.md", 1),
        ("b.md", 1),
    ]


async def test_of_two_with_one_id_the_later_stays(store: VectorStore) -> None:
    items = [Item(f"text {n}", id="x") for n in range(300)]
    added = await store.add(items, scope=ADA)
    assert (added.added, added.updated) == (1, 299)
    (found,) = await store.get(["x"], scope=ADA)
    assert found.text == "text 299"


async def test_a_vector_that_cannot_be_used_is_refused_alone(store: VectorStore) -> None:
    vectors: list[Any] = [[1, 0], [1, 0, 0], [], [float("inf"), 1], "ab", [[1]], [0, 0], [1e-30, 0]]
    items = [Item(f"text {n}", vector=vector) for n, vector in enumerate(vectors)]
    added = await store.add(items, scope=ADA)
    assert [refused.index for refused in added.refused] == [1, 2, 3, 4, 5]
    assert "3 numbers, and those of `documents` have 2" in added.refused[0].reason
    assert [hit.score for hit in await store.search([1, 0], scope=ADA)] == [1, 1, 0]


async def test_what_is_no_text_is_kept_as_signs_that_are(store: VectorStore) -> None:
    added = await store.add([Item("a\0b\ud800", "s\0", {"k\0": ["\udfff"]})], scope=ADA)
    (found,) = await store.get([str(added.ids[0])], scope=ADA)
    assert (found.text, found.source) == ("a\ufffdb\ufffd", "s\ufffd")
    assert found.metadata == {"k\ufffd": ["\ufffd"]}


async def test_texts_go_to_the_model_in_batches_and_so_many_at_once(model: Embeddings) -> None:
    settings = VectorStoreSettings(backend="memory", batch_size=10, concurrency=3)
    seen: list[tuple[int, int]] = []
    async with open_store(settings, model) as store:
        texts = [f"text {n}" for n in range(95)]
        await store.add(texts, scope=ADA, progress=lambda done, all_: seen.append((done, all_)))
    assert {len(batch) for batch in model.batches} == {10, 5}
    assert model.most_at_once == 3
    assert seen == [(n, 95) for n in (*range(10, 91, 10), 95)]


async def test_what_was_kept_before_the_model_went_away_stays(model: Embeddings) -> None:
    settings = VectorStoreSettings(backend="memory", batch_size=10, concurrency=2)
    texts = [f"text {n}" for n in range(50)]
    async with open_store(settings, model) as store:
        model.away_after = 3
        with pytest.raises(ProviderUnavailable):
            await store.add(texts, scope=ADA)
        assert len(await store.page(scope=ADA, limit=100)) == 30
        model.away_after = None
        added = await store.add(texts, scope=ADA)
    assert (added.unchanged, added.added) == (30, 20)


async def test_another_model_is_refused_with_what_to_do(
    store: VectorStore, model: Embeddings
) -> None:
    await store.add(["one"], scope=ADA)
    for name, dimensions in (("second", 16), ("first", 8)):
        model.model, model.dimensions = name, dimensions
        with pytest.raises(WrongModel, match="dovetail knowledge reindex documents"):
            await store.add(["two"], scope=ADA)
        for mode in ("hybrid", "vector"):
            with pytest.raises(WrongModel, match="dovetail knowledge reindex documents"):
                await store.search("one", scope=ADA, mode=mode)
    assert [h.text for h in await store.search("one", scope=ADA, mode="text")] == ["one"]


async def test_a_reindex_embeds_every_text_with_the_new_model(
    store: VectorStore, model: Embeddings
) -> None:
    await store.add(["one", "two"], scope=ADA)
    await store.add(["three"], scope=BOB)
    model.model, model.dimensions = "second", 8
    seen: list[tuple[int, int]] = []
    done = await store.reindex(progress=lambda done, all_: seen.append((done, all_)))
    assert (done.embedded, done.vectors, done.refused) == (3, 3, ())
    assert seen[-1] == (3, 3)
    (described,) = await store.collections()
    assert (described.model, described.dimension, described.pending) == ("second", 8, 0)
    assert (await store.search("two", scope=ADA))[0].text == "two"
    asked = len(model.texts)
    assert (await store.reindex()).embedded == 0
    assert len(model.texts) == asked + 1  # one, to see which model it is
    assert (await store.reindex(everything=True)).embedded == 3


async def test_a_reindex_that_was_broken_off_goes_on(model: Embeddings) -> None:
    settings = VectorStoreSettings(backend="memory", batch_size=2)
    async with open_store(settings, model) as store:
        await store.add([f"text {n}" for n in range(8)], scope=ADA)
        model.model, model.away_after = "second", len(model.batches) + 3
        with pytest.raises(ProviderUnavailable):
            await store.reindex()
        (described,) = await store.collections()
        assert (described.items, described.pending) == (8, 4)
        model.away_after = None
        assert (await store.reindex()).embedded == 4


async def test_a_text_that_the_new_model_refuses_is_listed_and_still_found(
    store: VectorStore, model: Embeddings
) -> None:
    await store.add([Item("refused text", vector=[0.0] * 15 + [1]), "other"], scope=ADA)
    model.model = "second"
    done = await store.reindex()
    assert [(item.text, why) for item, why in done.refused] == [
        ("refused text", "that word is not embedded")
    ]
    assert done.embedded == 1
    assert [hit.text for hit in await store.search("text", scope=ADA, mode="text")] == [
        "refused text"
    ]


async def test_a_query_that_the_model_refuses_says_so(store: VectorStore) -> None:
    await store.add(["one"], scope=ADA)
    with pytest.raises(ItemRefused, match="refuses the query: that word is not embedded"):
        await store.search("refused", scope=ADA)


async def test_a_scope_cannot_be_left_out(store: VectorStore) -> None:
    calls: list[Any] = [store.search, store.get, store.add]
    for call in calls:
        with pytest.raises(TypeError, match="scope"):
            await call(["x"])
    calls = [store.page, store.sources, store.delete]
    for call in calls:
        with pytest.raises(TypeError, match="scope"):
            await call()
    none: list[Any] = [None, "ada", {"user": "ada"}, Scope]
    for no_scope in none:
        for call in (store.search, store.get, store.add):
            with pytest.raises(ScopeError, match=r"Scope\.user"):
                await call("x", scope=no_scope)


async def test_nothing_is_added_as_everybody(store: VectorStore) -> None:
    with pytest.raises(ScopeError, match="belongs to one owner"):
        await store.add(["x"], scope=Scope.everyone())


TRIES: list[dict[str, Any]] = [
    {"user_id": "bob"},
    {"$or": [{"a": 1}, {"$not": {"a": 1}}]},
    {"source": "secret"},
    {"source": {"$in": ["secret", "mine"]}},
    {"user": {"$ne": "ada"}},
    {"$not": {"source": "mine"}},
    {"owner.x": {"$exists": False}},
]


@pytest.mark.parametrize("filters", TRIES)
async def test_no_filter_reaches_another_users_documents(
    store: VectorStore, filters: dict[str, Any]
) -> None:
    await store.add([Item("bob's secret", "secret", {"user_id": "bob"}, "1")], scope=BOB)
    await store.add([Item("ada's own", "mine", {"a": 1}, "2")], scope=ADA)
    for query in ("bob's secret", [1.0] * 16):
        for hit in await store.search(query, scope=ADA, filters=filters):
            assert hit.text == "ada's own"
    assert await store.get(["1"], scope=ADA.with_shared()) == []
    for item in await store.page(scope=ADA, filters=filters):
        assert item.text == "ada's own"
    await store.delete(scope=ADA, filters=filters, ids=["1", "2"])
    assert [item.text for item in await store.page(scope=BOB)] == ["bob's secret"]


@pytest.mark.parametrize("field", ["owner", "scope"])
async def test_a_filter_on_what_the_scope_says_is_refused(store: VectorStore, field: str) -> None:
    for filters in ({field: "x"}, {"$or": [{"a": 1}, {field: {"$ne": "x"}}]}):
        with pytest.raises(ScopeError, match="no filter widens"):
            await store.search("x", scope=ADA, filters=filters)


@pytest.mark.parametrize(
    "filters",
    [
        ["a"],
        {"a": {"$like": "x"}},
        {"$xor": []},
        {"$or": []},
        {"a": {}},
        {"a": {"$in": "text"}},
        {"a": [1]},
        {"a": {"$gt": None}},
        {"a": {"$gt": True}},
        {"a": float("nan")},
        {"a": {"$exists": "yes"}},
        {"a": {"$in": [1] * 201}},
        {"": 1},
        {"a": 2**64},
        {"$and": [{f"a{n}": 1} for n in range(201)]},
    ],
)
async def test_a_filter_that_means_nothing_is_refused(store: VectorStore, filters: Any) -> None:
    with pytest.raises(FilterError):
        await store.search("x", scope=ADA, filters=filters)


async def test_what_to_delete_has_to_be_said(store: VectorStore) -> None:
    await store.add(["one", "two"], scope=ADA)
    with pytest.raises(VectorStoreError, match="say what to delete"):
        await store.delete(scope=ADA)
    assert await store.delete(scope=ADA, filters={}) == 2


def test_a_turn_finds_its_users_its_sessions_and_what_is_shared() -> None:
    scope = Scope.of(ExecutionContext(user_id="ada", session_id="s"))
    assert scope.owner == ADA.owner
    for other in (ADA, Scope.user("ada", session="s"), Scope.shared()):
        assert scope.may_see(str(other.owner))
    for other in (BOB, Scope.user("ada", session="t"), Scope.user("bob", session="s")):
        assert not scope.may_see(str(other.owner))


def test_no_name_can_be_read_as_anothers() -> None:
    names: list[tuple[str | None, str | None]] = [
        ("a", None),
        ("a", "b"),
        ('a", "b', None),
        ('["user", "a"]', None),
        ("null", None),
        (None, None),
        ("\ud800", None),
        ("shared", None),
        ("", None),
        ("", ""),
    ]
    owners = {Scope.user(user, session=session).owner for user, session in names}
    assert len({*owners, Scope.shared().owner}) == len(names) + 1
    with pytest.raises(ScopeError):
        Scope.user(cast("Any", 7))  # as a host may read it from somewhere


def test_who_stands_high_in_both_rankings_is_first() -> None:
    a, b, c = (Hit(row(text).item, 1.0) for text in "abc")
    assert [hit.text for hit in fuse([[a, b], [c, b]], 2)] == ["b", "a"]
    assert fuse([[a], [a]], 1)[0].score == 1
    assert fuse([[], []], 5) == []


async def test_many_tasks_use_it_at_once(store: VectorStore) -> None:
    async def work(n: int) -> None:
        scope = Scope.user(f"user {n}")
        await store.add([f"text {n}", "same for all"], scope=scope)
        assert {hit.text for hit in await store.search("text", scope=scope)} == {
            f"text {n}",
            "same for all",
        }

    await asyncio.gather(*(work(n) for n in range(50)))
    (described,) = await store.collections()
    assert described.items == 100


async def test_a_kernel_offers_it_and_its_model(model: Embeddings) -> None:
    config = {
        "chat": {"model": "fake"},
        "providers": {"fake": {}, "other": {"use": "fake"}},
        "plugins": {"vectorstore": {"backend": "memory", "embedding_model": "other/small"}},
    }
    async with Kernel.open(config, env={}).register("fake", fake_plugin(model)) as kernel:
        store: VectorStore = kernel.services.get("vector_store")
        await store.add(["one"], scope=ADA)
        assert (await store.search("one", scope=ADA))[0].score == 1
        copied = await kernel.service_factory.get("vector_store", ExecutionContext())
        assert await copied.collections() == await store.collections()


async def test_a_backend_that_is_none_is_named() -> None:
    config = {"chat": {"model": "fake"}, "providers": {"fake": {}}}
    for name, words in (("pgvectr", "names no service"), ("vector_store", "no vector backend")):
        tables = {**config, "plugins": {"vectorstore": {"backend": name}}}
        async with Kernel.open(tables, env={}).register("fake", fake_plugin()) as kernel:
            with pytest.raises(VectorStoreError, match=words):
                await kernel.services.get("vector_store").collections()
