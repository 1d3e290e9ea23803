"""Several stores at once, and servers and clients that go away."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dovetail_vectorstore.backend import MadeWith, Where
from dovetail_vectorstore.errors import StoreDamaged, StoreFull, VectorStoreError, WrongModel
from dovetail_vectorstore.items import Row
from dovetail_vectorstore.preparing import unit
from dovetail_vectorstore.testing import ADA, EVERYBODY, axis, row, texts_of
from plugins.postgres.tests.test_postgres_processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from dovetail_postgres.vectors import PostgresVectors
    from plugins.postgres.tests.conftest import OpenVectors
    from plugins.postgres.tests.server import Server
    from plugins.postgres.tests.wire import Wire

ALL = Where(EVERYBODY)
ACTS: dict[str, tuple[Callable[[PostgresVectors], Coroutine[Any, Any, Any]], object]] = {
    "collections": (lambda v: v.collections(), 1),
    "made_with": (lambda v: v.made_with("docs"), MadeWith("m", 4)),
    "put": (lambda v: v.put("docs", [row("more", axis(1))], model="m"), None),
    "get": (lambda v: v.get("docs", ["1"], ADA), 1),
    "page": (lambda v: v.page("docs", ALL), 1),
    "sources": (lambda v: v.sources("docs", ALL), 1),
    "near": (lambda v: v.near("docs", unit(axis(0)), ALL, 5), 1),
    "matching": (lambda v: v.matching("docs", "first", ALL, 5), 1),
    "delete": (lambda v: v.delete("docs", ALL), 1),
    "clear_vectors": (lambda v: v.clear_vectors("docs", "n"), None),
    "rebuild": (lambda v: v.rebuild("docs"), 1),
    "stats": (lambda v: v.stats("docs"), ...),
    "drop": (lambda v: v.drop("docs"), True),
}


@contextmanager
def writer(url: str, schema: str) -> Iterator[subprocess.Popen[str]]:
    """A process that puts items in until it is killed."""
    program = [sys.executable, "-m", "plugins.postgres.tests.vectors_writer", url, schema, "10000"]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def fill(vectors: PostgresVectors) -> None:
    await vectors.put("docs", [row("the first", axis(0), item_id="1")], model="m")


@pytest.mark.parametrize("act", ACTS)
async def test_what_is_asked_while_the_server_is_away_is_done_when_it_is_back(
    opened_vectors: OpenVectors, wire: Wire, act: str
) -> None:
    vectors = await opened_vectors(url=wire.url, retry_for=20)
    await fill(vectors)
    wire.refuse()
    do, expected = ACTS[act]
    doing = asyncio.create_task(do(vectors))
    await wire.refused.wait()
    wire.accept()
    answer = await doing
    if expected is not ...:
        assert (len(answer) if isinstance(answer, list) else answer) == expected


@pytest.mark.parametrize("act", ACTS)
async def test_a_connection_that_went_dead_is_given_up_for_another(
    opened_vectors: OpenVectors, wire: Wire, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a firewall forgets it: nobody says that it is gone."""
    vectors = await opened_vectors(url=wire.url, timeout=0.3, retry_for=20)
    await fill(vectors)
    for name in ("READ_SECONDS", "WRITE_SECONDS", "BUILD_SECONDS"):
        monkeypatch.setattr(f"dovetail_postgres.vectors.backend.{name}", 0.5)
    wire.go_dead()
    do, expected = ACTS[act]
    answer = await do(vectors)
    if expected is not ...:
        assert (len(answer) if isinstance(answer, list) else answer) == expected


async def test_one_that_went_dead_in_the_middle_is_given_up_too(
    opened_vectors: OpenVectors, wire: Wire, sql: Any, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = await opened_vectors(url=wire.url, retry_for=20)
    await fill(vectors)
    monkeypatch.setattr("dovetail_postgres.vectors.backend.WRITE_SECONDS", 0.5)
    async with sql.transaction():
        await sql.execute(f"LOCK TABLE {schema}.vectors_1 IN SHARE ROW EXCLUSIVE MODE")
        putting = asyncio.create_task(ACTS["put"][0](vectors))
        async with asyncio.timeout(20):
            while not await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
        wire.go_dead()
    await putting
    assert len(await vectors.page("docs", ALL)) == 2


async def test_a_call_that_is_cancelled_ends_though_its_connection_breaks_meanwhile(
    opened_vectors: OpenVectors, wire: Wire, sql: Any, schema: str
) -> None:
    vectors = await opened_vectors(url=wire.url, retry_for=20)
    await fill(vectors)
    async with sql.transaction():
        await sql.execute(f"LOCK TABLE {schema}.vectors_1 IN SHARE ROW EXCLUSIVE MODE")
        putting = asyncio.create_task(ACTS["put"][0](vectors))
        async with asyncio.timeout(20):
            while not await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
        wire.go_dead()
        putting.cancel()
        async with asyncio.timeout(20):
            while await sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
        wire.cut_dead()
        await asyncio.wait([putting], timeout=20)  # it, and not this, is to end it
        assert putting.cancelled()
    assert len(await vectors.page("docs", ALL)) == 1


async def test_a_server_that_was_started_anew_is_asked_as_before(
    server: Server, opened_vectors: OpenVectors
) -> None:
    vectors = await opened_vectors(retry_for=30)
    await fill(vectors)
    await asyncio.to_thread(server.crash_and_start)
    hits = await vectors.near("docs", unit(axis(0)), ALL, 5)
    assert texts_of(hits) == ["the first"]


async def test_after_a_server_came_back_a_call_may_take_as_long_as_ever(
    opened_vectors: OpenVectors, sql: Any, schema: str
) -> None:
    vectors = await opened_vectors(retry_for=2)
    await fill(vectors)
    others = "FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
    async with sql.transaction():
        await sql.execute(f"LOCK TABLE {schema}.vectors_1 IN SHARE ROW EXCLUSIVE MODE")
        assert await sql.fetch(f"SELECT pg_terminate_backend(pid) {others}")
        putting = asyncio.create_task(ACTS["put"][0](vectors))
        await asyncio.wait([putting], timeout=3)  # which is longer than it is tried again
        assert not putting.done()
    await putting
    assert len(await vectors.page("docs", ALL)) == 2


async def test_a_put_whose_answer_is_lost_is_done_once(
    opened_vectors: OpenVectors, wire: Wire
) -> None:
    vectors = await opened_vectors(url=wire.url)
    await fill(vectors)
    wire.lose_answer("COMMIT")
    await vectors.put("docs", [row("again", axis(1), item_id="2")], model="m")
    assert wire.lost == 1
    assert [item.id for item in await vectors.page("docs", ALL)] == ["1", "2"]


async def test_what_went_wrong_is_told_without_the_password(
    opened_vectors: OpenVectors, wire: Wire
) -> None:
    vectors = await opened_vectors(url=wire.url, retry_for=0)
    wire.refuse()
    with pytest.raises(VectorStoreError) as caught:
        await fill(vectors)
    where = f"PostgreSQL at postgres@127.0.0.1:{wire.port}/postgres"
    assert str(caught.value).startswith("putting into `docs`: ")
    assert where in str(caught.value)
    assert "hunter22" not in str(caught.value)
    assert caught.value.__cause__ is not None
    with pytest.raises(VectorStoreError, match="vectors cannot be kept: "):
        await opened_vectors(url=wire.url, retry_for=0)


async def test_a_full_disk_is_told_and_what_was_kept_is_there(
    vectors: PostgresVectors, sql: Any, schema: str
) -> None:
    await fill(vectors)
    # What the server says of a full disk, from the server: its own cannot be filled here.
    await sql.execute(
        f"CREATE FUNCTION {schema}.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.id = '3' THEN RAISE EXCEPTION 'could not extend file: No space left on device' "
        "USING ERRCODE = 'disk_full'; END IF; RETURN NEW; END $$; "
        f"CREATE TRIGGER no_room BEFORE INSERT ON {schema}.vectors_1 FOR EACH ROW "
        f"EXECUTE FUNCTION {schema}.no_room()"
    )
    rows = [row(f"text {n}", axis(n), item_id=f"{n}") for n in (2, 3)]
    with pytest.raises(StoreFull, match=r"No space left on device; make room on the server's disk"):
        await vectors.put("docs", rows, model="m")
    assert [item.id for item in await vectors.page("docs", ALL)] == ["1"]
    await sql.execute(f"DROP TRIGGER no_room ON {schema}.vectors_1")
    await vectors.put("docs", rows, model="m")
    assert [item.id for item in await vectors.page("docs", ALL)] == ["1", "2", "3"]


async def test_a_damaged_index_is_told_and_made_anew(
    server: Server, opened_vectors: OpenVectors, sql: Any, schema: str
) -> None:
    vectors = await opened_vectors(retry_for=30)
    await vectors.put(
        "docs", [row(f"{n}", axis(n % 4), item_id=f"{n}") for n in range(300)], model="m"
    )
    index = await sql.fetchval("SELECT pg_relation_filepath($1)", f"{schema}.vectors_1_near")
    await sql.execute("CHECKPOINT")  # else it is written again from the log
    await asyncio.to_thread(server.crash)
    file = Path(server.socket).parent / index
    file.write_bytes(b"noise" * (file.stat().st_size // 5 + 1))
    await asyncio.to_thread(server.start)
    for damaged in (vectors.near("docs", unit(axis(0)), ALL, 5), ACTS["put"][0](vectors)):
        with pytest.raises(StoreDamaged, match="dovetail knowledge reindex"):
            await damaged
    assert await vectors.rebuild("docs") == 300
    assert len(await vectors.near("docs", unit(axis(0)), ALL, 5)) == 5


async def test_of_two_who_put_the_first_vectors_one_decides(opened_vectors: OpenVectors) -> None:
    one, other = await opened_vectors(), await opened_vectors()
    for number in range(10):
        name = f"docs {number}"
        outcomes = await asyncio.gather(
            one.put(name, [row("a", axis(0, 4))], model="m"),
            other.put(name, [row("b", axis(0, 5))], model="n"),
            return_exceptions=True,
        )
        won = outcomes.index(None)
        assert isinstance(outcomes[1 - won], WrongModel), outcomes
        assert await other.made_with(name) == (MadeWith("m", 4), MadeWith("n", 5))[won]
        assert [item.text for item in await one.page(name, ALL)] == ["ab"[won]]


async def test_two_stores_put_and_delete_the_same_at_once(opened_vectors: OpenVectors) -> None:
    stores = [await opened_vectors(), await opened_vectors()]

    async def work(vectors: PostgresVectors, turn: int) -> None:
        rows = [row(f"text {n}", axis(n), item_id=f"{n}") for n in range(4)]
        await vectors.put("docs", rows[:: 1 if turn % 2 else -1], model="m")
        await vectors.delete("docs", ALL, ids=["0", "1"])

    await asyncio.gather(*(work(stores[n % 2], n) for n in range(20)))
    assert [item.id for item in await stores[0].page("docs", ALL)] == ["2", "3"]


async def test_a_collection_may_be_dropped_or_cleared_under_those_who_use_it(
    opened_vectors: OpenVectors,
) -> None:
    one, other = await opened_vectors(), await opened_vectors()

    async def ask() -> None:
        for _ in range(30):
            hits = await one.near("docs", unit(axis(0)), ALL, 5)
            assert texts_of(hits) in ([], ["the first"])
            assert len(await one.page("docs", ALL)) <= 1
            assert len(await one.collections()) <= 1

    async def change() -> None:
        for turn in range(10):
            await fill(other)
            await (other.clear_vectors("docs", "m") if turn % 2 else other.drop("docs"))

    await asyncio.gather(ask(), ask(), change())


async def test_strict_transactions_are_tried_again(opened_vectors: OpenVectors, sql: Any) -> None:
    """A server may isolate transactions strictly unless it is told otherwise."""
    await sql.execute("ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'")
    try:
        vectors = await opened_vectors(retry_for=30)
        await asyncio.gather(
            *(vectors.put("docs", [row(f"{n}", axis(n % 4))], model="m") for n in range(8))
        )
    finally:
        await sql.execute("ALTER DATABASE postgres RESET default_transaction_isolation")
    assert len(await vectors.page("docs", ALL)) == 8


async def test_it_works_without_prepared_statements(opened_vectors: OpenVectors) -> None:
    """As behind a pooler; and no setting of a search stays on the connection."""
    vectors = await opened_vectors(statement_cache_size=0, pool_size=1)
    await fill(vectors)
    assert texts_of(await vectors.near("docs", unit(axis(0)), ALL, 5)) == ["the first"]
    database = await vectors.shared.open()
    shown = "SELECT current_setting('hnsw.iterative_scan'), current_setting('plan_cache_mode')"
    left = await database.run(lambda connection: connection.fetchrow(shown))
    assert tuple(left) == ("off", "auto")


async def test_a_call_that_is_cancelled_leaves_nothing_behind(
    opened_vectors: OpenVectors, sql: Any, schema: str
) -> None:
    vectors = await opened_vectors(pool_size=1)
    await fill(vectors)
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    at_work = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE $1 AND state <> 'idle'"
    for act in (lambda: fill(vectors), lambda: vectors.rebuild("docs")):
        async with sql.transaction():
            await sql.execute(f"LOCK TABLE {schema}.vectors_1 IN SHARE ROW EXCLUSIVE MODE")
            waiting = asyncio.create_task(act())
            async with asyncio.timeout(20):
                while not await sql.fetchval(blocked):
                    pass
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            async with asyncio.timeout(20):
                while await sql.fetchval(blocked):
                    pass
    async with asyncio.timeout(20):
        while await sql.fetchval(at_work, f"%{schema}%"):
            pass
    assert await vectors.rebuild("docs") == 1
    assert len(await vectors.page("docs", ALL)) == 1


async def test_an_index_that_was_broken_off_is_removed(
    vectors: PostgresVectors, sql: Any, schema: str
) -> None:
    await fill(vectors)
    left = f"{schema}.vectors_1_near_ccnew"
    await sql.execute(f"CREATE INDEX vectors_1_near_ccnew ON {schema}.vectors_1 (added)")
    await sql.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::text::regclass", left
    )
    assert await vectors.rebuild("docs") == 1
    assert await sql.fetchval("SELECT to_regclass($1)", left) is None


async def test_a_process_that_is_killed_loses_nothing_it_was_told_is_kept(
    server: Server, opened_vectors: OpenVectors, schema: str
) -> None:
    with writer(server.url, schema) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        told = [int(await asyncio.to_thread(next, lines)) for _ in range(100)]
        process.kill()
        told += [int(line) for line in lines if line.endswith("\n")]
    vectors = await opened_vectors()
    kept = {item.text for item in await vectors.page("docs", ALL, limit=100_000)}
    groups = {int(text.split()[1]) for text in kept}
    assert set(told) <= groups
    assert len(groups) - len(told) <= 1, "of the last one nobody was told"
    assert len(kept) == 3 * len(groups), "each is whole, or not there"
    assert len(await vectors.near("docs", unit([1, 0, 0]), ALL, 1000)) == min(len(kept), 1000)


async def test_vectors_of_another_size_take_the_place_of_those_that_were_forgotten(
    vectors: PostgresVectors,
) -> None:
    rows = [row(f"text {n}", axis(n % 4), item_id=f"{n}") for n in range(40)]
    await vectors.put("docs", rows, model="m")
    await vectors.clear_vectors("docs", "n")
    while pending := await vectors.page("docs", ALL, pending=True, limit=7):
        await vectors.put(
            "docs", [Row(i, unit(axis(int(i.id) % 9, 9))) for i in pending], model="n"
        )
    assert await vectors.rebuild("docs") == 40
    hits = await vectors.near("docs", unit(axis(5, 9)), Where(ADA), 4)
    assert sorted(hit.id for hit in hits) == ["14", "23", "32", "5"]
    stats = await vectors.stats("docs")
    assert stats is not None
    assert (stats.collection.dimension, stats.collection.pending) == (9, 0)
    assert stats.details["index"] == "hnsw, vector(9)"
