"""What the embedded store does when processes die, disks fill and files are damaged."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from structlog.testing import capture_logs

from dovetail_vectorstore import Item, VectorStoreSettings, Where, open_store
from dovetail_vectorstore.embedded import EmbeddedBackend
from dovetail_vectorstore.errors import StoreDamaged, StoreFull, StoreInUse, VectorStoreError
from dovetail_vectorstore.preparing import unit
from dovetail_vectorstore.testing import axis, row
from plugins.vectorstore.tests.storing import ADA, BOB, Embeddings, in_folder

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail_vectorstore import VectorStore

WRITER = """
import asyncio, sys
from dovetail_vectorstore import Item, Scope, VectorStoreSettings, open_store

async def main():
    settings = VectorStoreSettings(path=sys.argv[1], synchronous="normal")
    async with open_store(settings) as store:
        print("open", flush=True)
        for n in range(int(sys.argv[2])):
            items = [Item(f"item {n} {m}", vector=[n + 1, m, 1]) for m in range(20)]
            await store.add(items, scope=Scope.user("ada"))
            print(n, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""
MANY = 6000
"""More than are searched exactly, so that there are lists."""


async def _writer(path: Path, batches: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITER, str(path), str(batches)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert await _line(process) == "open"
    return process


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


def _cloud(count: int = MANY) -> list[Item]:
    vectors = np.random.default_rng(3).normal(size=(count, 8))
    return [
        Item(f"cloud {n}", id=f"{n}", metadata={"half": n % 2}, vector=vector)
        for n, vector in enumerate(vectors.tolist())
    ]


async def _fill(path: Path, items: list[Item]) -> None:
    async with open_store(in_folder(path)) as store:
        await store.add(items, scope=ADA)


async def _check(store: VectorStore, items: list[Item]) -> None:
    """What is found is what an exact search finds, nearly always."""
    vectors = np.array([item.vector for item in items])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    same = 0
    for n in range(0, len(items), len(items) // 20):
        found = await store.search(items[n].vector or [], scope=ADA)
        assert found[0].id == items[n].id
        exact = np.argsort(-(vectors @ vectors[n]))[:10]
        same += len({items[place].id for place in exact.tolist()} & {hit.id for hit in found})
    assert same >= 0.95 * 10 * 20


async def test_what_was_kept_is_there_the_next_time(tmp_path: Path) -> None:
    await _fill(tmp_path / "store", [Item("a text", "a.md", {"page": 1}, vector=[1, 0])])
    async with open_store(in_folder(tmp_path / "store")) as store:
        (hit,) = await store.search([1, 0], scope=ADA, filters={"page": 1})
        assert (hit.text, hit.source, hit.score) == ("a text", "a.md", 1)
        assert await store.search("text", scope=ADA, mode="text")
        assert await store.search([1, 0], scope=BOB) == []
        added = await store.add([Item("a text", "a.md", {"page": 1})], scope=ADA)
        assert added.unchanged == 1


async def test_many_are_found_through_lists_and_after_another_start(tmp_path: Path) -> None:
    path, items = tmp_path / "store", _cloud()
    await _fill(path, items)
    assert list(path.glob("index-*.lists"))
    async with open_store(in_folder(path)) as store:
        await _check(store, items)
        stats = await store.stats()
        assert stats is not None
        assert stats.details["lists"] > 1
        assert stats.details["vectors_in_lists"] == MANY


async def test_lists_follow_what_is_changed_and_deleted(tmp_path: Path) -> None:
    path, items = tmp_path / "store", _cloud()
    await _fill(path, items)
    async with open_store(in_folder(path)) as store:
        assert await store.delete(scope=ADA, filters={"half": 0}) == MANY // 2
        for n in (1, 2):  # one that is there, one that was
            await store.add([Item("moved", id=f"{n}", vector=axis(0, 8))], scope=ADA)
        found = await store.search(axis(0, 8), scope=ADA, limit=500)
        assert {hit.id for hit in found[:2]} == {"1", "2"}
        assert all(hit.metadata["half"] for hit in found[2:])
    async with open_store(in_folder(path)) as store:
        await _check(store, [items[n] for n in range(3, MANY, 2)])
        assert await store.delete(scope=ADA, filters={}) == MANY // 2 + 1
        assert await store.search(axis(0, 8), scope=ADA) == []
        await store.reindex()
        await store.add([Item("anew", vector=axis(0, 8))], scope=ADA)
        assert [hit.text for hit in await store.search(axis(0, 8), scope=ADA)] == ["anew"]


async def test_few_of_one_owner_are_found_among_many_of_another(tmp_path: Path) -> None:
    path, items = tmp_path / "store", _cloud()
    await _fill(path, items)
    async with open_store(in_folder(path)) as store:
        far = [Item(f"far {n}", vector=[-1, n, *axis(0, 6)]) for n in range(3)]
        await store.add(far, scope=BOB)
        assert len(await store.search(axis(0, 8), scope=BOB)) == 3
        few = await store.search(axis(0, 8), scope=ADA, filters={"half": 1}, limit=200)
        assert len(few) == 200


async def test_a_new_owner_is_not_found_by_others_before_the_index_knows_of_him(
    tmp_path: Path,
) -> None:
    backend = EmbeddedBackend(str(tmp_path / "store"), synchronous="normal")
    await backend.open()
    await backend.put("c", [row("a", [1, 0], scope=ADA), row("b", [1, 0], scope=BOB)], model="m")
    # The moment between what is kept and what the index is told cannot be met from outside.
    index = backend._shelves["c"].index  # noqa: SLF001 - as above
    assert index is not None
    index.known = set(sorted(index.known)[:1])
    for scope in (ADA, BOB):
        hits = await backend.near("c", unit(axis(0, 2)), Where(scope), 9)
        assert {hit.item.owner for hit in hits} <= {scope.owner}
    await backend.close()


async def test_searches_go_on_while_lists_are_made(tmp_path: Path) -> None:
    items = _cloud()
    async with open_store(in_folder(tmp_path / "store")) as store:
        adding = asyncio.create_task(store.add(items, scope=ADA))
        seen = 0
        while not adding.done():
            await asyncio.sleep(0)
            found = await store.search(items[0].vector or [], scope=ADA)
            assert all(b.score <= a.score for a, b in pairwise(found))
            seen = max(seen, len(found))
        await adding
        await _check(store, items)


async def test_killed_while_it_writes_it_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "store"
    process = await _writer(path, 1000)
    last = -1
    while last < 40:
        last = int(await _line(process))
    process.send_signal(signal.SIGKILL)
    assert process.stdout is not None
    rest = (await process.stdout.read()).split()
    last = int(rest[-1]) if rest else last
    await process.wait()
    async with open_store(in_folder(path)) as store:
        found = {item.text for item in await store.page(scope=ADA, limit=30_000)}
        assert {f"item {n} {m}" for n in range(last + 1) for m in range(20)} <= found
        assert len(found) % 20 == 0
        (hit, *_) = await store.search([last + 1, 7, 1], scope=ADA)
        assert hit.score == pytest.approx(1)
        again = [Item(f"item 0 {m}", vector=[1, m, 1]) for m in range(20)]
        assert (await store.add(again, scope=ADA)).added == 0


async def test_a_second_process_is_told_who_has_it_and_what_to_use(tmp_path: Path) -> None:
    path = tmp_path / "store"
    process = await _writer(path, 1)
    try:
        with pytest.raises(StoreInUse) as caught:
            async with open_store(in_folder(path)):
                pass
        assert f"process {process.pid}" in str(caught.value)
        assert 'backend = "pgvector"' in str(caught.value)
    finally:
        process.kill()
        await process.wait()
    async with open_store(in_folder(path)):
        with pytest.raises(StoreInUse, match=f"process {os.getpid()}"):
            async with open_store(in_folder(path)):
                pass


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "foreign", "odd head"])
async def test_a_damaged_index_is_told_and_made_anew(tmp_path: Path, damage: str) -> None:
    path, items = tmp_path / "store", _cloud()
    await _fill(path, items)
    (file,) = path.glob("index-*.lists")
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(
        {
            "cut": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "emptied": b"",
            "foreign": b"SQLite format 3\0" * 100,
            "odd head": whole.replace(b"lists 3", b"lists 0", 1),
        }[damage]
    )
    with capture_logs() as logs:
        async with open_store(in_folder(path)) as store:
            await _check(store, items)
    (told,) = [entry for entry in logs if "damaged" in entry["event"]]
    assert told["file"] == str(file)
    assert "made anew from what is stored" in told["event"]
    with capture_logs() as logs:
        async with open_store(in_folder(path)) as store:
            await _check(store, items)
    assert not [entry for entry in logs if "damaged" in entry["event"]]


async def test_the_index_of_another_store_is_not_taken_for_its_own(tmp_path: Path) -> None:
    items = _cloud()
    await _fill(tmp_path / "one", items)
    await _fill(tmp_path / "two", [Item("alone", vector=axis(0, 8))])
    (file,) = (tmp_path / "one").glob("index-*.lists")
    (tmp_path / "two" / file.name).write_bytes(file.read_bytes())
    async with open_store(in_folder(tmp_path / "two")) as store:
        assert [hit.text for hit in await store.search(axis(0, 8), scope=ADA)] == ["alone"]


async def test_a_damaged_database_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "store"
    await _fill(path, _cloud(500))
    file = path / "items.db"
    whole = file.read_bytes()
    for damaged in (b"not a database at all" * 1000, whole[:100] + b"\xff" * (len(whole) - 100)):
        file.write_bytes(damaged)
        with pytest.raises(StoreDamaged, match="backup"):
            async with open_store(in_folder(path)) as store:
                await store.page(scope=ADA)
    assert file.read_bytes() == damaged


async def test_a_damaged_index_of_words_is_made_anew_by_a_reindex(tmp_path: Path) -> None:
    path, model = tmp_path / "store", Embeddings()
    async with open_store(in_folder(path), model) as store:
        await store.add(["some words", "others"], scope=ADA)
    with sqlite3.connect(path / "items.db") as connection:
        connection.execute("UPDATE words_data SET block = x'00ff00ff00ff' WHERE id > 10")
    connection.close()
    async with open_store(in_folder(path), model) as store:
        with pytest.raises(StoreDamaged, match="dovetail knowledge reindex"):
            await store.search("words", scope=ADA, mode="text")
        await store.reindex()
        assert [h.text for h in await store.search("words", scope=ADA, mode="text")] == [
            "some words"
        ]


async def test_a_full_disk_keeps_what_was_kept(tmp_path: Path) -> None:
    backend = EmbeddedBackend(str(tmp_path / "store"))
    await backend.open()
    try:
        await backend.put("docs", [row("first", axis(0))], model="m")
        # The same that SQLite does when its file system is full.
        limit = "PRAGMA max_page_count = 60"
        await backend._database.write(lambda c: c.execute(limit).fetchall())  # noqa: SLF001
        with pytest.raises(StoreFull, match="make room"):
            await backend.put("docs", [row("x" * 900_000, axis(1))], model="m")
        found = await backend.near("docs", _unit(0), Where(ADA), 5)
        assert [hit.text for hit in found] == ["first"]
        await backend.put("docs", [row("small", axis(0))], model="m")
        assert (await backend.collections())[0].items == 2
    finally:
        await backend.close()


async def test_an_index_that_cannot_be_saved_is_told_and_made_the_next_time(
    tmp_path: Path,
) -> None:
    path, items = tmp_path / "store", _cloud()
    (path / "index-1.new").mkdir(parents=True)
    with capture_logs() as logs:
        await _fill(path, items)
    assert "could not be saved" in logs[-1]["event"]
    async with open_store(in_folder(path)) as store:
        await _check(store, items)


async def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(VectorStoreError, match="name another in `path`"):
            async with open_store(in_folder(path)):
                pass
    (tmp_path / "odd" / "items.db").mkdir(parents=True)
    with pytest.raises(VectorStoreError, match="cannot be opened"):
        async with open_store(in_folder(tmp_path / "odd")):
            pass


async def test_a_store_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store"
    await _fill(path, [Item("a", vector=[1.0])])
    with sqlite3.connect(path / "items.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(VectorStoreError, match="version 99"):
        async with open_store(in_folder(path)):
            pass


async def test_others_may_not_read_it(tmp_path: Path) -> None:
    path = tmp_path / "store"
    await _fill(path, _cloud())
    assert path.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in path.iterdir())


async def test_who_is_cancelled_leaves_all_or_nothing(tmp_path: Path) -> None:
    async with open_store(in_folder(tmp_path / "store")) as store:
        for n in range(30):
            items = [Item(f"text {n} {m}", vector=[n, m, 1]) for m in range(5)]
            task = asyncio.create_task(store.add(items, scope=ADA))
            for _ in range(n):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await store.add([Item("last", vector=[1, 1, 1])], scope=ADA)
        there = await store.page(scope=ADA, limit=1000)
        found = await store.search([1, 1, 1], scope=ADA, limit=1000)
        assert {hit.id for hit in found} == {item.id for item in there}
        assert len(there) % 5 == 1


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    backend = EmbeddedBackend(str(tmp_path / "store"))
    with pytest.raises(VectorStoreError, match="is closed"):
        await backend.put("docs", [row("a", axis(0))], model="")
    await backend.close()
    await backend.open()
    await backend.close()
    await backend.close()
    with pytest.raises(VectorStoreError, match="is closed"):
        await backend.collections()


def test_the_default_is_safe_against_power_failure() -> None:
    assert VectorStoreSettings().synchronous == "full"


def _unit(place: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(axis(place), np.float32)
