"""Several processes on one file, and one that dies."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from dovetail import Kernel, Session
from dovetail.testing import FakeModel, fake_plugin
from plugins.sqlite.tests.samples import PATIENCE, ask, history, texts, turn, with_turns

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail_sqlite import SqliteSessions

WRITER = """
import asyncio, sys
from dovetail import Session
from dovetail_sqlite import SqliteSessions, SqliteSettings
from plugins.sqlite.tests.samples import turn

async def main(path, sessions, turns):
    store = SqliteSessions()
    store.settings = SqliteSettings(path=path)
    await store.start()

    async def write(session):
        for number in range(turns):
            await store.append(session, turn(number))
            print(session.session_id, number, flush=True)

    await asyncio.gather(*(write(Session(session_id=id_)) for id_ in sessions))
    await store.stop()

asyncio.run(main(sys.argv[1], sys.argv[3:], int(sys.argv[2])))
"""
ENOUGH = 10_000
"""Appends that are acknowledged before the process is killed."""


async def writer(file: Path, turns: int, *sessions: str) -> asyncio.subprocess.Process:
    """A process that appends turns to sessions, and says each when it is acknowledged."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITER, str(file), str(turns), *sessions),
        stdout=asyncio.subprocess.PIPE,
    )


def kernel(file: Path) -> Kernel:
    """What `dovetail chat` runs with this config."""
    config = {
        "chat": {"model": "fake"},
        "providers": {"fake": {}},
        "sessions": {"use": "sqlite", "path": str(file)},
    }
    kernel = Kernel.open(config, env={})
    kernel.register("fake", fake_plugin(FakeModel()))
    return kernel


async def test_a_process_that_is_killed_loses_nothing_that_was_acknowledged(file: Path) -> None:
    sessions = [f"session {number}" for number in range(20)]
    acknowledged: dict[str, int] = {}
    async with asyncio.timeout(PATIENCE):
        process = await writer(file, 1_000_000, *sessions)
        assert process.stdout is not None
        for _ in range(ENOUGH):
            id_, _, number = (await process.stdout.readline()).decode().rpartition(" ")
            acknowledged[id_] = int(number)
        process.kill()
        for line in (await process.stdout.read()).decode().splitlines(keepends=True):
            if line.endswith("\n"):
                id_, _, number = line.rpartition(" ")
                acknowledged[id_] = int(number)
        await process.wait()
    assert sorted(acknowledged) == sorted(sessions)
    async with kernel(file) as after:
        for id_, last in acknowledged.items():
            session = await after.sessions.get_session(id_)
            assert session is not None
            kept = texts(session.history)
            assert len(kept) // 2 > last, f"{id_} has {len(kept)} messages, turn {last} was said"
            assert kept == texts([m for n in range(len(kept) // 2) for m in turn(n)])
    assert ask(file, "PRAGMA integrity_check") == [("ok",)]


async def test_two_processes_that_write_one_session_lose_nothing(
    store: SqliteSessions, file: Path
) -> None:
    async with asyncio.timeout(PATIENCE):
        processes = [await writer(file, 60, "a") for _ in range(2)]
        for number in range(60):
            await store.append(Session(session_id="a"), turn(number))
        ends = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0, 0], ends
    said = await history(store, "a")
    assert sorted(said) == sorted(texts([m for n in range(60) for m in turn(n)]) * 3)
    assert [question.replace("question", "answer") for question in said[::2]] == said[1::2]


async def test_a_second_process_sees_what_the_first_keeps(
    store: SqliteSessions, file: Path
) -> None:
    await with_turns(store, "mine", 1)
    async with asyncio.timeout(PATIENCE):
        process = await writer(file, 2, "theirs", "mine")
        await process.communicate()
    assert await history(store, "theirs") == texts([*turn(0), *turn(1)])
    assert await history(store, "mine") == texts([*turn(0), *turn(0), *turn(1)])
    listed = await store.list_sessions()
    assert [(s.session_id, s.message_count) for s in listed] == [("mine", 6), ("theirs", 4)]


async def test_a_conversation_goes_on_in_the_next_process(file: Path) -> None:
    for said in ("My name is Ada", "What is my name?"):
        async with kernel(file) as running:
            await running.chat(said, session="work", user="ada")
    async with kernel(file) as running:
        session = await running.sessions.get_session("work", user_id="ada")
    assert session is not None
    assert texts(session.history)[::2] == ["My name is Ada", "What is my name?"]


async def test_two_kernels_take_turns_at_one_session(file: Path) -> None:
    async with kernel(file) as one, kernel(file) as other, asyncio.timeout(PATIENCE):
        said = [f"message {number}" for number in range(12)]
        kernels = [one, other] * 6
        await asyncio.gather(
            *(running.chat(text, session="a") for running, text in zip(kernels, said, strict=True))
        )
        session = await one.sessions.get_session("a")
    assert session is not None
    kept = texts(session.history)
    assert sorted(kept) == sorted(said * 2)
    assert kept[::2] == kept[1::2], "questions and answers are interleaved"


async def test_of_many_who_want_a_lease_one_gets_it(store: SqliteSessions, file: Path) -> None:
    owners = [f"owner {number}" for number in range(20)]
    got = await asyncio.gather(*(store.acquire_lease("a", owner, 30) for owner in owners))
    assert sorted(got) == [False] * 19 + [True]
    await store.acquire_lease("b", "x", 0.001)
    assert await store.acquire_lease("c", "x", 30) is True
    while ask(file, "SELECT 1 FROM leases WHERE session_id = 'b'"):
        await store.cleanup_expired()
    left = ask(file, "SELECT session_id FROM leases ORDER BY session_id")
    assert left == [("a",), ("c",)], "clean-up removes those that ended"
