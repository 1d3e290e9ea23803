"""A database is brought to the tables that the code knows."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from dovetail import PluginError
from dovetail_sqlite.migrations import ForeignTablesError, NewerSchemaError, Schema, migrate
from plugins.sqlite.tests.samples import PATIENCE, ask, history, with_turns

if TYPE_CHECKING:
    from pathlib import Path

    from plugins.sqlite.tests.conftest import Open

FIRST = ("CREATE TABLE things (name TEXT)",)
SECOND = ("ALTER TABLE things ADD COLUMN size INTEGER NOT NULL DEFAULT 1",)
OTHER = Schema("others", (("CREATE TABLE others (name TEXT)",),))


def run(file: Path, *schemas: Schema) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        migrate(connection, schemas)


def test_only_the_steps_that_are_missing_are_taken_and_data_is_kept(file: Path) -> None:
    run(file, Schema("things", (FIRST,)))
    ask(file, "INSERT INTO things VALUES ('old')")
    for _ in range(2):
        run(file, Schema("things", (FIRST, SECOND)), OTHER)
    assert ask(file, "SELECT name, size FROM things") == [("old", 1)]
    versions = ask(file, "SELECT component, version FROM migrations ORDER BY component")
    assert versions == [("others", 1), ("things", 2)]


def test_what_is_newer_than_the_code_is_left_alone(file: Path) -> None:
    run(file, Schema("things", (FIRST, SECOND)))
    with pytest.raises(NewerSchemaError, match="version 2 of its `things`, and this one knows 1"):
        run(file, Schema("things", (FIRST,)), OTHER)
    assert ask(file, "SELECT component FROM migrations") == [("things",)]


def test_a_step_that_fails_leaves_nothing_behind(file: Path) -> None:
    with pytest.raises(ForeignTablesError, match="things already exists"):
        run(file, OTHER, Schema("things", (FIRST, FIRST)))
    assert ask(file, "SELECT * FROM sqlite_master") == []


async def test_a_store_refuses_a_file_of_a_newer_version(opened: Open, file: Path) -> None:
    await (await opened()).stop()
    ask(file, "UPDATE migrations SET version = 1000")
    with pytest.raises(PluginError, match="made by a newer version of dovetail-sqlite"):
        await opened()


async def test_starting_again_keeps_what_is_there(opened: Open) -> None:
    first = await opened()
    await with_turns(first, "a", 1)
    await first.stop()
    assert await history(await opened(), "a") == ["question 0", "answer 0"]


async def test_processes_that_start_at_once_all_work(file: Path) -> None:
    script = """
import asyncio, sys
from plugins.sqlite.tests.samples import with_turns
from dovetail_sqlite import SqliteSessions, SqliteSettings

async def main():
    store = SqliteSessions()
    store.settings = SqliteSettings(path=sys.argv[1])
    print(flush=True)
    sys.stdin.readline()
    await store.start()
    await with_turns(store, sys.argv[2], 3)
    await store.stop()

asyncio.run(main())
"""
    pipe = asyncio.subprocess.PIPE
    names = [f"process {number}" for number in range(3)]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(file), name, stdin=pipe, stdout=pipe
        )
        for name in names
    ]
    async with asyncio.timeout(PATIENCE):
        for process in processes:
            assert process.stdout is not None
            await process.stdout.readline()
        ends = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
    assert [process.returncode for process in processes] == [0] * len(processes), ends
    rows = ask(file, "SELECT session_id, message_count FROM sessions ORDER BY session_id")
    assert rows == [(name, 6) for name in names]
