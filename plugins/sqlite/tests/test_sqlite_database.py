"""Transactions: what shares one, what is undone, and what waits for the disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dovetail import PluginError
from dovetail_sqlite import Database
from dovetail_sqlite.migrations import Schema
from plugins.sqlite.tests.samples import PATIENCE, ask, held_up

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

THINGS = Schema("things", (("CREATE TABLE things (name TEXT UNIQUE)",),))


@pytest.fixture
async def database(file: Path) -> AsyncIterator[Database]:
    database = Database(str(file), [THINGS])
    await database.open()
    yield database
    await database.close()


def add(name: str) -> Callable[[sqlite3.Connection], str]:
    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO things VALUES (?)", (name,))
        return name

    return work


def synchronous(connection: sqlite3.Connection) -> int:
    (mode,) = connection.execute("PRAGMA synchronous").fetchone()
    return int(mode)


def traced(commits: list[str]) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(lambda said: commits.append(said) if said == "COMMIT" else 0)

    return work


async def test_what_is_asked_while_one_is_written_shares_a_transaction(
    database: Database,
) -> None:
    commits: list[str] = []
    await database.write(traced(commits))
    commits.clear()
    async with held_up(database):
        others = [asyncio.create_task(database.write(add(f"{number}"))) for number in range(150)]
    assert await asyncio.gather(*others) == [f"{number}" for number in range(150)]
    assert len(commits) == 3, "one for the first, and two for the 150 that waited behind it"
    assert await database.read(lambda c: c.execute("SELECT count(*) FROM things").fetchall()) == [
        (150,)
    ]


async def test_one_that_fails_among_others_is_undone_alone(database: Database) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        add("half")(connection)
        message = "not this one"
        raise LookupError(message)

    works = (add("a"), fails, add("b"), add("a"), add("c"))
    async with held_up(database):
        asked = [asyncio.create_task(database.write(work)) for work in works]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(done[1], LookupError)
    assert isinstance(done[3], PluginError)
    assert [done[0], done[2], done[4]] == ["a", "b", "c"]
    found = await database.read(lambda c: c.execute("SELECT name FROM things").fetchall())
    assert sorted(found) == [("a",), ("b",), ("c",)]


async def test_one_that_fails_alone_is_undone(database: Database) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        add("half")(connection)
        message = "not this one"
        raise LookupError(message)

    with pytest.raises(LookupError):
        await database.write(fails)
    assert await database.write(add("whole")) == "whole"
    assert await database.read(lambda c: c.execute("SELECT name FROM things").fetchall()) == [
        ("whole",)
    ]


async def test_reading_sees_one_state_and_changes_nothing(database: Database, file: Path) -> None:
    def twice(connection: sqlite3.Connection) -> list[int]:
        counts = []
        for name in ("x", "y"):
            counts += connection.execute("SELECT count(*) FROM things").fetchone()
            ask(file, "INSERT INTO things VALUES (?)", name)
        return counts

    assert await database.read(twice) == [0, 0]
    assert database.glance(lambda c: c.execute("SELECT count(*) FROM things").fetchone()) == (2,)
    with pytest.raises(PluginError, match="readonly"):
        await database.read(add("z"))


@pytest.mark.parametrize(("setting", "mode"), [("full", 2), ("normal", 1)])
async def test_only_what_must_outlive_a_power_failure_waits_for_the_disk(
    file: Path, setting: str, mode: int
) -> None:
    database = Database(str(file), [THINGS], synchronous=setting)
    await database.open()
    for durable, expected in ((True, mode), (False, 1), (True, mode)):
        assert await database.write(synchronous, durable=durable) == expected
    await database.close()


async def test_among_those_that_need_not_wait_one_that_must_makes_all_wait(
    database: Database,
) -> None:
    async with held_up(database):
        together = [
            asyncio.create_task(database.write(synchronous, durable=durable))
            for durable in (False, True, False)
        ]
    assert await asyncio.gather(*together) == [2, 2, 2]


async def test_closing_does_what_was_asked_before(database: Database, file: Path) -> None:
    asked = [asyncio.create_task(database.write(add(f"{number}"))) for number in range(10)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*asked)
    assert ask(file, "SELECT count(*) FROM things") == [(10,)]
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name], "the log is left"


async def test_a_closed_one_says_so(database: Database) -> None:
    await database.close()
    await database.close()
    for asked in (database.write(add("a")), database.read(synchronous)):
        with pytest.raises(PluginError, match="the database is closed"):
            await asked
    with pytest.raises(PluginError, match="the database is closed"):
        database.glance(synchronous)


async def test_what_nobody_waits_for_any_more_is_not_begun(database: Database) -> None:
    async with held_up(database):
        left = asyncio.create_task(database.write(add("left")))
        await asyncio.sleep(0)
        left.cancel()
    assert await database.write(add("next")) == "next"
    assert await database.read(lambda c: c.execute("SELECT name FROM things").fetchall()) == [
        ("next",)
    ]


async def test_only_so_many_wait_in_the_queue_and_the_rest_before_it(database: Database) -> None:
    async with asyncio.timeout(PATIENCE):
        done = await asyncio.gather(*(database.write(add(f"{n}")) for n in range(2500)))
    assert len(done) == 2500
    assert await database.read(lambda c: c.execute("SELECT count(*) FROM things").fetchall()) == [
        (2500,)
    ]
