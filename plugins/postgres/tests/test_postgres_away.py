"""A server that goes away and comes back loses nothing, and does nothing twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from dovetail import Kernel, SessionConflict, SessionError, new_id
from dovetail.testing import FakeModel, Gate, fake_plugin
from dovetail_postgres.errors import DatabaseAway
from plugins.postgres.tests.sayings import loaded, said, session, turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dovetail import Session
    from dovetail_postgres import PostgresSessionStore
    from plugins.postgres.tests.conftest import Open
    from plugins.postgres.tests.server import Server
    from plugins.postgres.tests.wire import Wire

    Act = Callable[[PostgresSessionStore, Session], Awaitable[object]]


async def _ids(store: PostgresSessionStore, it: Session) -> bool:
    return it.session_id in [s.session_id for s in await store.list_sessions(it.user_id)]


async def _text(store: PostgresSessionStore, it: Session) -> str:
    return (await loaded(store, it)).history[0].text


async def _version(store: PostgresSessionStore, it: Session) -> int:
    return (await store.set(it)).version


ACTS: dict[str, tuple[Act, object]] = {
    "load": (_text, "question 0"),
    "append": (lambda store, it: store.append(it, turn(1)), None),
    "set": (_version, 2),
    "touch": (lambda store, it: store.touch(it), True),
    "list": (_ids, True),
    "delete": (lambda store, it: store.delete(it.session_id), True),
    "lease": (lambda store, it: store.acquire_lease(it.session_id, "a", 30), True),
    "release": (lambda store, it: store.release_lease(it.session_id, "a"), None),
}
CLEANUP: tuple[Act, object] = (lambda store, it: store.cleanup_expired(), 0)


@pytest.fixture
def kept() -> Session:
    return session(user_id=f"ada {new_id()}")


@pytest.mark.parametrize("act", [*ACTS, "cleanup"])
async def test_what_is_asked_meanwhile_is_done_when_it_is_back(
    opened: Open, wire: Wire, kept: Session, act: str
) -> None:
    store = await opened(url=wire.url, retry_for=20)
    await store.cleanup_expired()
    await store.append(kept, turn(0))
    kept = await loaded(store, kept)
    wire.refuse()
    do, expected = {**ACTS, "cleanup": CLEANUP}[act]
    doing = asyncio.ensure_future(do(store, kept))  # noqa: TID251 - owned by this test
    await wire.refused.wait()
    assert not doing.done()
    wire.accept()
    assert await doing == expected


@pytest.mark.parametrize("act", ACTS)
async def test_a_connection_that_went_dead_is_given_up_for_another(
    opened: Open, wire: Wire, kept: Session, act: str
) -> None:
    """As when a firewall forgets it: nobody says that it is gone."""
    store = await opened(url=wire.url, timeout=0.3, retry_for=20)
    await store.append(kept, turn(0))
    kept = await loaded(store, kept)
    wire.go_dead()
    do, expected = ACTS[act]
    assert await do(store, kept) == expected


async def test_an_append_whose_answer_is_lost_is_done_once(opened: Open, wire: Wire) -> None:
    store = await opened(url=wire.url)
    kept = session()
    for number in range(2):  # one that creates the session, and one that does not
        wire.lose_answer(f"answer {number}")
        await store.append(kept, turn(number))
        kept = await loaded(store, kept)
    assert wire.lost == 2
    assert await said(store, kept) == ["question 0", "answer 0", "question 1", "answer 1"]
    assert kept.message_count == 4


async def test_appends_whose_answers_are_lost_are_each_done_once(opened: Open, wire: Wire) -> None:
    store = await opened(url=wire.url, retry_for=20)
    kept = session()
    many = range(30)
    for number in many:
        wire.lose_answer(f"answer {number}.")
    turns = [[m.changed(content=f"{m.text}.") for m in turn(number)] for number in many]
    await asyncio.gather(*(store.append(kept, messages) for messages in turns))
    assert wire.lost == len(many)
    texts = await said(store, kept)
    assert sorted(texts) == sorted(m.text for messages in turns for m in messages)


async def test_a_swap_whose_answer_is_lost_is_no_conflict(opened: Open, wire: Wire) -> None:
    store = await opened(url=wire.url)
    first = session(state={"n": "first"}, history=turn(0))
    wire.lose_answer("first")
    kept = await store.set(first)
    assert (kept.version, kept.message_count) == (1, 2)
    kept.state["n"] = "second"
    wire.lose_answer("second")
    after = await store.set(kept)
    assert (wire.lost, after.version, after.message_count) == (2, 2, 2)
    found = await loaded(store, first)
    assert (found.state, found.version, len(found.history)) == ({"n": "second"}, 2, 2)
    with pytest.raises(SessionConflict):
        await store.set(kept)


async def test_a_removal_whose_answer_is_lost_removed_something(
    opened: Open, wire: Wire, kept: Session
) -> None:
    store = await opened(url=wire.url)
    await store.append(kept, turn(0))
    wire.lose_answer(kept.session_id, after=1)  # it asks, and then removes
    assert await store.delete(kept.session_id) is True
    assert wire.lost == 1
    assert await store.delete(kept.session_id) is False


async def test_what_it_cannot_do_in_time_it_says(opened: Open, wire: Wire) -> None:
    store = await opened(url=wire.url, retry_for=0.2)
    wire.refuse()
    it = session()
    async with asyncio.timeout(10):
        with pytest.raises(SessionError) as caught:
            await store.append(it, turn(0))
    text = str(caught.value)
    where = f"PostgreSQL at postgres@127.0.0.1:{wire.port}/postgres"
    assert text.startswith(f"session `{it.session_id}`: "), text
    assert where in text, text
    assert "hunter22" not in text
    cause = caught.value.__cause__
    assert isinstance(cause, DatabaseAway)
    assert cause.__cause__ is not None


async def test_what_broke_is_said(opened: Open, wire: Wire) -> None:
    store = await opened(url=wire.url, retry_for=0)
    wire.lose_answer("answer 0")
    with pytest.raises(SessionError, match="connection was closed in the middle of operation"):
        await store.append(session(), turn(0))


async def test_it_is_logged_once_that_the_server_is_away_and_once_that_it_is_back(
    opened: Open, wire: Wire
) -> None:
    store = await opened(url=wire.url, retry_for=20)
    wire.refuse()
    with capture_logs() as lines:
        loading = asyncio.gather(*(store.load(new_id()) for _ in range(5)))
        await wire.refused.wait()
        wire.accept()
        await loading
    assert [line["event"] for line in lines] == ["postgres.retry", "postgres.back"]
    assert "hunter22" not in str(lines)


async def test_a_server_that_does_not_answer_ends_in_an_error(opened: Open, wire: Wire) -> None:
    store = await opened(url=wire.url, timeout=0.1, retry_for=0)
    wire.go_dead()
    async with asyncio.timeout(10):
        with pytest.raises(SessionError, match="gave no answer in time"):
            await store.load("work")


async def test_a_turn_is_kept_though_the_server_crashes_under_it(server: Server) -> None:
    gate = Gate()
    model = FakeModel("first", ["second", gate])
    config = {
        "chat": {"model": "fake"},
        "providers": {"fake": {}},
        "sessions": {"use": "postgres", "url": server.url, "retry_for": 30},
        "kernel": {"commit_timeout": 60},
    }
    id_ = new_id()
    async with Kernel.open(config, env={}).register("fake", fake_plugin(model)) as kernel:
        await kernel.chat("one", session=id_)
        turn_2 = asyncio.create_task(kernel.chat("two", session=id_))
        await gate.reached()
        server.crash()
        gate.open()
        await asyncio.to_thread(server.start)
        assert (await turn_2).text == "second"
        kept = await kernel.sessions.get_session(id_)
    assert kept is not None
    assert [message.text for message in kept.history] == ["one", "first", "two", "second"]


async def test_what_was_acknowledged_survives_crashes_of_the_server_and_is_there_once(
    server: Server, opened: Open
) -> None:
    store = await opened(retry_for=30)
    kept = session()
    for first in (0, 300):
        async with asyncio.TaskGroup() as group:
            for number in range(first, first + 300):
                await store.append(kept, turn(number))
                if number == first + 50:  # and it goes on
                    group.create_task(asyncio.to_thread(server.crash_and_start))
    assert await said(store, kept) == [m.text for number in range(600) for m in turn(number)]


async def test_a_call_that_is_cancelled_leaves_the_pool_as_good_as_before(
    opened: Open, sql: Any
) -> None:
    store = await opened(pool_size=1)
    kept = await store.set(session())
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    for _ in range(3):
        async with sql.transaction():
            await sql.execute(
                "SELECT FROM dovetail.sessions WHERE session_id = $1 FOR UPDATE", kept.session_id
            )
            waiting = asyncio.create_task(store.append(kept, turn(0)))
            async with asyncio.timeout(10):
                while not await sql.fetchval(blocked):
                    pass
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
    assert await store.load(kept.session_id) is not None


async def test_a_deadlock_or_a_clash_of_strict_transactions_is_tried_again(
    opened: Open, server: Server, sql: Any
) -> None:
    """A server may isolate transactions strictly unless it is told otherwise."""
    await sql.execute("ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'")
    try:
        store = await opened(retry_for=20)
        kept = session()
        await asyncio.gather(*(store.append(kept, turn(number)) for number in range(10)))
    finally:
        await sql.execute("ALTER DATABASE postgres RESET default_transaction_isolation")
    assert len(await said(store, kept)) == 20


async def test_what_waits_for_the_server_ends_when_the_store_is_stopped(
    opened: Open, wire: Wire
) -> None:
    store = await opened(url=wire.url, retry_for=600)
    wire.refuse()
    waiting = asyncio.create_task(store.load("work"))
    await wire.refused.wait()
    await store.stop()
    async with asyncio.timeout(10):
        with pytest.raises(SessionError, match="the pool of connections to PostgreSQL is closed"):
            await waiting


async def test_a_stopped_store_says_so(store: PostgresSessionStore) -> None:
    await store.stop()
    with pytest.raises(SessionError, match="the store is not started, or is stopped"):
        await store.load("work")
