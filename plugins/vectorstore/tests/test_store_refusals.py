"""What becomes of items that cannot be kept, and of those beside them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import pytest

from dovetail import InvalidRequest, InvalidResponse, ProviderUnavailable
from dovetail_vectorstore import Item, VectorStore, VectorStoreSettings, open_store
from plugins.vectorstore.tests.storing import ADA, MEMORY, Embeddings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def model() -> Embeddings:
    return Embeddings()


@pytest.fixture
async def store(model: Embeddings) -> AsyncIterator[VectorStore]:
    async with open_store(MEMORY, model) as store:
        yield store


async def test_a_bad_item_fails_alone_and_is_listed(store: VectorStore, model: Embeddings) -> None:
    nested: list[Any] = []
    nested.append(nested)
    deep: Any = "\U0001f600"
    for _ in range(950):
        deep = {"a": deep}
    bad: list[Any] = [
        Item(""),
        Item(" \n"),
        Item("x" * 1_000_001),
        Item("this is refused by the model"),
        Item("a", metadata={"a": object()}),
        Item("b", metadata={"a": nested}),
        Item("deep", metadata={"a": deep}),
        Item("c", metadata={"owner": "bob"}),
        Item("d", metadata={"a": float("nan")}),
        Item(cast("Any", 7)),  # as an event may bring it
        Item("e", id="x" * 5000),
    ]
    good = [f"good {n}" for n in range(9)]
    mixed = [each for pair in zip(bad, good, strict=False) for each in pair] + bad[9:]
    added = await store.add(mixed, scope=ADA)
    assert [refused.item for refused in added.refused] == bad
    assert all(added.ids[refused.index] is None for refused in added.refused)
    assert added.added == 9
    assert sorted(model.texts) == good
    reasons = " / ".join(refused.reason for refused in added.refused)
    for words in ("empty", "blank", "1000001", "refuses it: that word", "JSON", "`owner`", "int"):
        assert words in reasons
    assert len(await store.page(scope=ADA)) == 9


async def test_of_two_with_one_text_the_later_metadata_stays(
    store: VectorStore, model: Embeddings
) -> None:
    items = [Item("text", metadata={"n": n}) for n in range(2)]
    added = await store.add(items, scope=ADA)
    assert (added.added, added.updated) == (1, 1)
    assert model.texts == ["text"]
    (hit,) = await store.search("text", scope=ADA, mode="vector")
    assert hit.metadata == {"n": 1}


async def test_what_is_refused_is_refused_each_time(store: VectorStore) -> None:
    items = [Item("refused", metadata={"n": n // 2}) for n in range(200)]
    added = await store.add([*items, "good"], scope=ADA)
    assert (added.added, added.updated, added.unchanged) == (1, 0, 0)
    assert [refused.index for refused in added.refused] == list(range(200))
    assert [item.text for item in await store.page(scope=ADA)] == ["good"]


@pytest.mark.parametrize("vector", [(math.nan,) * 16, (1.0,) * 8, ()])
async def test_a_text_whose_vector_is_no_vector_is_refused_alone(
    vector: tuple[float, ...], store: VectorStore, model: Embeddings
) -> None:
    model.broken["bad"] = vector
    added = await store.add(["one", "bad", "two"], scope=ADA)
    assert [(refused.index, added.added) for refused in added.refused] == [(1, 2)]
    assert "its vector" in added.refused[0].reason
    assert [hit.text for hit in await store.search("two", scope=ADA, limit=1)] == ["two"]


async def test_a_text_that_the_model_breaks_down_at_is_refused_alone(
    store: VectorStore, model: Embeddings
) -> None:
    model.stumbles = "bad"
    added = await store.add([f"text {n}" for n in range(63)] + ["bad"], scope=ADA)
    assert [(refused.index, added.added) for refused in added.refused] == [(63, 63)]
    assert "status 500" in added.refused[0].reason
    assert model.asked < 25


async def test_a_model_that_is_down_is_asked_once_more_and_no_text_blamed(
    model: Embeddings,
) -> None:
    model.away_after = 0
    settings = VectorStoreSettings(backend="memory", concurrency=1)
    async with open_store(settings, model) as store:
        with pytest.raises(ProviderUnavailable, match="away"):
            await store.add([f"text {n}" for n in range(640)], scope=ADA)
    assert model.asked == 2


async def test_too_few_vectors_are_told_and_nothing_is_kept(
    store: VectorStore, model: Embeddings
) -> None:
    model.loses = 1
    with pytest.raises(InvalidResponse, match="2 vectors for 3 texts"):
        await store.add(["one", "two", "three"], scope=ADA)
    assert await store.page(scope=ADA) == []


async def test_a_request_that_is_at_fault_is_not_taken_for_bad_texts(model: Embeddings) -> None:
    model.widths = (16,)
    settings = VectorStoreSettings(backend="memory", dimensions=300, concurrency=1)
    async with open_store(settings, model) as store:
        with pytest.raises(InvalidRequest, match="300"):
            await store.add([f"text {n}" for n in range(640)], scope=ADA)
    assert model.asked < 10
