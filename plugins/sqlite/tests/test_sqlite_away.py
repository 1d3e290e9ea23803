"""A file that is locked, gone or full for a while: nothing is lost, and nothing is kept twice."""

# ruff: noqa: ASYNC240 - a test may wait for the disk: nothing else runs meanwhile

from __future__ import annotations

import asyncio
import re
import resource
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from dovetail import Kernel, PluginError, Session, SessionConflict, SessionError
from dovetail.testing import FakeModel, Gate, fake_plugin
from dovetail_sqlite import SqliteSessions
from plugins.sqlite.tests.samples import (
    PATIENCE,
    ask,
    held_up,
    history,
    locked,
    texts,
    turn,
    with_turns,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from plugins.sqlite.tests.conftest import Open


@contextmanager
def no_file_grows() -> Iterator[None]:
    """The system refuses to write beyond the first bytes of any file: an error of the disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def written(store: SqliteSessions) -> None:
    """All that was asked for before has been tried once."""
    assert store.database is not None
    mark: list[object] = []
    marking = asyncio.create_task(store.database.write(mark.append))
    while not mark:  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0.01)
    marking.cancel()


async def pages(store: SqliteSessions, most: int) -> None:
    """Let the file have so many pages, as if its disk had no more."""
    assert store.database is not None
    await store.database.write(lambda c: c.execute(f"PRAGMA max_page_count = {most}").fetchone())


async def test_an_append_waits_for_a_file_that_is_locked(store: SqliteSessions, file: Path) -> None:
    session = await with_turns(store, "a", 1)
    with locked(file) as other:
        appending = asyncio.create_task(store.append(session, turn(1)))
        assert await history(store, "a") == ["question 0", "answer 0"], "reading need not wait"
        await asyncio.sleep(0.5)  # longer than SQLite itself waits
        assert not appending.done()
        other.execute("ROLLBACK")
        async with asyncio.timeout(PATIENCE):
            await appending
    assert len(await history(store, "a")) == 4


async def test_a_file_that_stays_locked_is_an_error_that_says_so(opened: Open, file: Path) -> None:
    store = await opened(busy_timeout="300ms")
    session = await with_turns(store, "a", 1)
    with locked(file), pytest.raises(SessionError) as caught:
        await store.append(session, turn(1))
    assert re.search(r"session `a` .*sessions\.db` was locked by another proc", str(caught.value))
    assert "`busy_timeout`" in str(caught.value)
    assert caught.value.__cause__ is not None
    await store.append(session, turn(1))
    assert len(await history(store, "a")) == 4


async def test_what_went_into_a_file_that_is_gone_is_kept_once_when_it_comes_back(
    store: SqliteSessions, file: Path
) -> None:
    session = await with_turns(store, "a", 1)
    away = file.with_name("away.db")
    file.rename(away)
    appending = asyncio.create_task(store.append(session, turn(1)))
    setting = asyncio.create_task(store.set(Session(session_id="b", state={"n": 1})))
    await written(store)
    assert not appending.done()
    assert not setting.done(), "acknowledged though the file was not there"
    away.rename(file)
    async with asyncio.timeout(PATIENCE):
        await appending
        made = await setting
    assert await history(store, "a") == ["question 0", "answer 0", "question 1", "answer 1"]
    made.state["n"] = 2
    assert (await store.set(made)).version == 2


async def test_a_change_that_was_kept_unseen_is_no_conflict_with_itself(
    store: SqliteSessions, file: Path
) -> None:
    session = await store.set(Session(session_id="a"))
    mine, other = deepcopy(session), deepcopy(session)
    mine.state["by"], other.state["by"] = "me", "another"
    away = file.with_name("away.db")
    file.rename(away)
    setting = asyncio.create_task(store.set(mine))
    await written(store)
    assert not setting.done()
    away.rename(file)
    async with asyncio.timeout(PATIENCE):
        assert (await setting).version == 2
    with pytest.raises(SessionConflict):
        await store.set(other)


async def test_a_file_that_stays_away_is_an_error_that_says_so(opened: Open, file: Path) -> None:
    store = await opened(busy_timeout="100ms")
    session = await with_turns(store, "a", 1)
    file.rename(file.with_name("away.db"))
    with pytest.raises(SessionError, match="is gone since it was opened: put it back"):
        await store.append(session, turn(1))
    with pytest.raises(SessionError, match="is gone since it was opened"):
        await store.load("a")
    assert not file.exists(), "a new one was made, and hides that the old one is missing"


async def test_a_backup_that_is_put_in_place_is_used(store: SqliteSessions, file: Path) -> None:
    session = await with_turns(store, "a", 1)
    assert len(await history(store, "a")) == 2
    ask(file, "VACUUM INTO ?", str(file.with_name("backup.db")))
    await store.append(session, turn(1))
    assert len(await history(store, "a")) == 4
    file.with_name("backup.db").replace(file)
    for rest in ("-wal", "-shm"):
        file.with_name(file.name + rest).unlink()
    async with asyncio.timeout(PATIENCE):
        assert await history(store, "a") == ["question 0", "answer 0"]
        await store.append(session, turn(2))
        assert await history(store, "a") == ["question 0", "answer 0", "question 2", "answer 2"]
    assert ask(file, "SELECT message_count FROM sessions") == [(4,)]


async def test_what_is_remembered_is_not_taken_for_what_a_backup_has(
    store: SqliteSessions, file: Path
) -> None:
    session = await with_turns(store, "a", 1)
    ask(file, "VACUUM INTO ?", str(file.with_name("backup.db")))
    await store.append(session, turn(1))
    assert len(await history(store, "a")) == 4
    file.with_name("backup.db").replace(file)
    for rest in ("-wal", "-shm"):
        file.with_name(file.name + rest).unlink()
    async with asyncio.timeout(PATIENCE):
        await store.append(session, turn(2))
        assert await history(store, "a") == ["question 0", "answer 0", "question 2", "answer 2"]


async def test_an_error_of_the_disk_passes(store: SqliteSessions) -> None:
    session = await with_turns(store, "a", 1)
    assert store.database is not None
    await store.database.write(lambda c: c.execute("CREATE TEMP TABLE mine (name)").fetchall())
    with no_file_grows():
        appending = asyncio.create_task(store.append(session, turn(1)))
        await asyncio.sleep(0.3)
        assert not appending.done()
    async with asyncio.timeout(PATIENCE):
        await appending
    assert len(await history(store, "a")) == 4
    with pytest.raises(PluginError, match="no such table"):  # the connection is a new one
        await store.database.write(lambda c: c.execute("SELECT * FROM mine").fetchall())


async def test_an_error_of_the_disk_that_stays_says_so(opened: Open) -> None:
    store = await opened(busy_timeout="100ms")
    session = await with_turns(store, "a", 1)
    with no_file_grows(), pytest.raises(SessionError, match="see to its disk"):
        await store.append(session, turn(1))
    assert len(await history(store, "a")) == 2


async def test_a_full_disk_is_an_error_that_says_so_and_nothing_is_lost(
    store: SqliteSessions,
) -> None:
    session = await with_turns(store, "a", 1)
    await pages(store, 1)  # as many as it has
    with pytest.raises(SessionError, match=r"has no room left .*: make room on its disk"):
        for number in range(1, 1000):
            await store.append(session, turn(number))
    kept = len(await history(store, "a")) // 2
    await pages(store, 1_000_000)
    await store.append(session, turn(kept))
    said = [f"{word} {number}" for number in range(kept + 1) for word in ("question", "answer")]
    assert await history(store, "a") == said


async def test_where_one_has_no_room_another_may(store: SqliteSessions) -> None:
    small, large = await with_turns(store, "small", 1), await with_turns(store, "large", 1)
    await pages(store, 1)
    big = [message.model_copy(update={"content": "x" * 100_000}) for message in turn(1)]
    assert store.database is not None
    async with held_up(store.database):
        asked = [
            asyncio.create_task(store.append(session, messages))
            for session, messages in ((small, turn(1)), (large, big))
        ]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert done[0] is None
    assert isinstance(done[1], SessionError)
    assert len(await history(store, "small")) == 4
    assert len(await history(store, "large")) == 2


async def test_a_turn_outlives_a_file_that_is_away_in_its_middle(file: Path) -> None:
    gate = Gate()
    config = {
        "kernel": {"commit_timeout": 30},
        "chat": {"model": "fake"},
        "providers": {"fake": {}},
        "sessions": {"use": "sqlite", "path": str(file), "busy_timeout": "20s"},
    }
    kernel = Kernel.open(config, env={})
    kernel.register("fake", fake_plugin(FakeModel("Hello Ada", [gate, "I am still here"])))
    async with kernel:
        await kernel.chat("I am Ada", session="work")
        answering = asyncio.create_task(kernel.chat("Are you there?", session="work"))
        await gate.reached()
        away = file.with_name("away.db")
        file.rename(away)
        gate.open()
        store = kernel.sessions.store
        assert isinstance(store, SqliteSessions)
        await written(store)
        assert not answering.done()
        away.rename(file)
        assert (await answering).text == "I am still here"
        session = await kernel.sessions.get_session("work")
    assert session is not None
    said = texts(session.history)
    assert said == ["I am Ada", "Hello Ada", "Are you there?", "I am still here"]
