"""What the index of the embedded store finds whatever happens beside it, or happened before."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from dovetail_vectorstore import Item, Where, open_store
from dovetail_vectorstore.embedded import EmbeddedBackend
from dovetail_vectorstore.errors import VectorStoreError, WrongModel
from dovetail_vectorstore.preparing import unit
from dovetail_vectorstore.testing import axis, row, texts_of
from plugins.vectorstore.tests.storing import ADA, BOB, in_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from dovetail_vectorstore import VectorStore
    from dovetail_vectorstore.items import Row

Floats: TypeAlias = npt.NDArray[np.float64]

MANY = 6000
"""More than are searched exactly, so that there are lists."""


@asynccontextmanager
async def _opened(path: Path) -> AsyncIterator[EmbeddedBackend]:
    backend = EmbeddedBackend(str(path), synchronous="normal")
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


def _grouped(name: str, seed: int, groups: int = 60) -> list[Item]:
    """Items that stand in groups, so that a search need not look at many lists."""
    random = np.random.default_rng(seed)
    centres = _unit_rows(random.normal(size=(groups, 32)))
    vectors = centres[np.arange(MANY) % groups] + random.normal(size=(MANY, 32)) * 0.02
    return _items(name, vectors)


def _ungrouped(name: str, seed: int) -> list[Item]:
    return _items(name, np.random.default_rng(seed).normal(size=(MANY, 32)))


def _items(name: str, vectors: Floats) -> list[Item]:
    return [
        Item(f"{name} {n}", metadata={"page": n % 100}, vector=vector)
        for n, vector in enumerate(_unit_rows(vectors).tolist())
    ]


def _unit_rows(vectors: Floats) -> Floats:
    """Each of them with length 1."""
    made: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return made


def _rows(count: int, size: int = 8, *, first: int = 0) -> list[Row]:
    vectors = np.random.default_rng(first).normal(size=(count, size)).tolist()
    return [row(f"text {first + n}", vector) for n, vector in enumerate(vectors)]


async def _recall(store: VectorStore, asked: list[Item], items: list[Item]) -> float:
    """Which part of the nearest ten is found, of points beside some of those asked for."""
    vectors = np.array([item.vector for item in items])
    same = 0
    for n in range(0, len(asked), len(asked) // 50):
        query = np.array(asked[n].vector) + 0.3 * np.array(asked[n - 1].vector)
        found = {hit.text for hit in await store.search(query.tolist(), scope=ADA)}
        same += len(found & {items[m].text for m in np.argsort(-(vectors @ query))[:10].tolist()})
    return same / (10 * 50)


async def test_as_many_are_found_as_there_are_however_many_are_asked_for(tmp_path: Path) -> None:
    items = _grouped("item", 1)
    question = items[0].vector or []
    async with open_store(in_folder(tmp_path / "store")) as store:
        await store.add(items, scope=ADA)
    async with open_store(in_folder(tmp_path / "store")) as store:
        assert len(await store.search(question, scope=ADA, limit=1000)) == 1000
        rare = {"page": 7}
        assert len(await store.search(question, scope=ADA, filters=rare, limit=50)) == 50
        assert len(await store.search(question, scope=ADA, filters=rare, limit=1000)) == 60


@pytest.mark.parametrize(
    "second", [_grouped("second", 2), _ungrouped("second", 2)], ids=["grouped", "not grouped"]
)
async def test_others_in_the_place_of_all_are_found_as_well(
    tmp_path: Path, second: list[Item]
) -> None:
    first = _grouped("first", 1)
    async with open_store(in_folder(tmp_path / "store")) as store:
        await store.add(first, scope=ADA)
    async with open_store(in_folder(tmp_path / "store")) as store:
        await store.delete(scope=ADA, filters={})
    async with open_store(in_folder(tmp_path / "store")) as store:
        await store.add(second, scope=ADA)
    async with open_store(in_folder(tmp_path / "store")) as store:
        assert await _recall(store, second, second) >= 0.95
        # And where so few are left that they are compared one by one.
        await store.delete(scope=ADA, filters={"page": {"$gte": 10}})
        assert len(await store.search(axis(0, 32), scope=ADA, limit=1000)) == MANY // 10


async def test_little_of_another_kind_is_found_among_much(tmp_path: Path) -> None:
    first = _grouped("first", 1)
    subject = np.random.default_rng(3).normal(size=32)
    far = np.random.default_rng(2).normal(size=(MANY, 32)) * 0.5 + subject
    others = _items("other", far)
    async with open_store(in_folder(tmp_path / "store")) as store:
        await store.add(first, scope=ADA)
    async with open_store(in_folder(tmp_path / "store")) as store:
        await _recall(store, first, first)
        for end in (200, 2000):
            await store.add(others[:end], scope=ADA)
            assert await _recall(store, others[:end], [*first, *others[:end]]) >= 0.95


async def test_what_has_just_come_or_gone_takes_no_place_from_what_is_there(
    tmp_path: Path,
) -> None:
    async with _opened(tmp_path / "store") as backend:
        await backend.put("c", [row("a", [1, 0.1]), row("b", [1, 0.2])], model="m")
        index = backend._shelves["c"].index  # noqa: SLF001 - that moment cannot be met from outside
        assert index is not None
        near = np.array([[1, 0]] * 5, np.float32)
        index.add(np.arange(100, 105), np.ones(5, np.int32), near)
        for scope in (ADA, ADA.with_shared()):
            hits = await backend.near("c", unit(axis(0, 2)), Where(scope), 2)
            assert texts_of(hits) == ["a", "b"]


async def test_a_search_beside_an_embedding_anew_is_told_of_it(tmp_path: Path) -> None:
    async with _opened(tmp_path / "store") as backend:
        await backend.put("c", _rows(10), model="first")
    async with _opened(tmp_path / "store") as backend:
        *_, found = await asyncio.gather(
            backend.clear_vectors("c", "second"),
            backend.put("c", _rows(10, size=4), model="second"),
            backend.near("c", unit(axis(0, 8)), Where(ADA), 5),
            return_exceptions=True,
        )
        assert isinstance(found, WrongModel)


async def test_a_collection_that_is_dropped_beside_a_rebuild_may_come_again(
    tmp_path: Path,
) -> None:
    async with _opened(tmp_path / "store") as backend:
        await backend.put("c", _rows(10), model="m")
        dropped, rebuilt = await asyncio.gather(backend.drop("c"), backend.rebuild("c"))
        assert (dropped, rebuilt) == (True, 0)
        await backend.put("c", _rows(3), model="m")
    async with _opened(tmp_path / "store") as backend:
        assert len(await backend.near("c", unit(axis(0, 8)), Where(ADA), 5)) == 3


async def test_what_is_put_in_beside_a_rebuild_is_found(tmp_path: Path) -> None:
    async with _opened(tmp_path / "store") as backend:
        await backend.put("c", _rows(MANY), model="m")
        more = [backend.put("c", _rows(50, first=MANY + n), model="m") for n in range(0, 1000, 50)]
        await asyncio.gather(backend.rebuild("c"), *more)
        hits = await backend.near("c", unit(axis(0, 8)), Where(ADA), MANY + 2000)
        assert len(set(texts_of(hits))) == len(hits) == MANY + 1000


async def test_nothing_is_left_of_what_was_dropped(tmp_path: Path) -> None:
    path = tmp_path / "store"
    async with _opened(path) as backend:
        await backend.put("c", _rows(MANY), model="m")
        assert await backend.drop("c")  # while its lists are made
    assert not list(path.glob("index-*"))
    (path / "index-9.lists").write_bytes(b"of one that was dropped as the process died")
    async with _opened(path):
        assert not list(path.glob("index-*"))


async def test_an_index_of_after_a_backup_is_not_taken_for_one_of_it(tmp_path: Path) -> None:
    path, backup = tmp_path / "store", tmp_path / "backup.db"
    async with _opened(path) as backend:
        await backend.put("c", _rows(10), model="m")
    shutil.copy(path / "items.db", backup)
    async with _opened(path) as backend:
        assert await backend.near("c", unit(axis(0, 8)), Where(ADA), 5)
        await backend.put("c", _rows(MANY, first=100), model="m")
    assert list(path.glob("index-*.lists"))
    shutil.copy(backup, path / "items.db")
    rows = _rows(MANY, first=50_000)
    async with _opened(path) as backend:
        await backend.put("c", rows, model="m")
    async with _opened(path) as backend:
        for given in rows[::500]:
            assert given.vector is not None
            (hit,) = await backend.near("c", given.vector, Where(ADA), 1)
            assert hit.item.text == given.item.text
            assert hit.score == pytest.approx(1)
        assert await backend.near("c", unit(axis(0, 8)), Where(BOB), 5) == []


async def test_whoever_asks_while_it_closes_is_told_that_it_is_closed(tmp_path: Path) -> None:
    async with _opened(tmp_path / "store") as backend:
        await backend.put("c", _rows(10), model="m")
        closing = asyncio.create_task(backend.close())
        with pytest.raises(VectorStoreError, match="is closed"):
            while True:
                await backend.near("c", unit(axis(0, 8)), Where(ADA), 5)
                await backend.put("c", _rows(1), model="m")
        await closing
