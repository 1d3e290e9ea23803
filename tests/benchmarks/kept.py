"""What keeping a turn and loading its session cost in each store, beside LangGraph's savers."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from dovetail import ChatMessage, Kernel, Session, new_id
from tests.benchmarks.harness import Goal, Row, Subject, compare, duration, interleave, profile
from tests.support.servers import postgres, redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from dovetail import SessionStore
    from tests.benchmarks.harness import Sample

    Prepare = Callable[[int], Awaitable[Any]]
    """Makes a session with so many messages, outside of what is measured."""
    Turn = Callable[[Any], Awaitable[object]]
    """Keeps a turn in what `Prepare` made, and loads it."""

ROUNDS = 9
HISTORIES = (10, 100, 1_000)
LONG = 10_000
TAIL = 10
RAM = "/dev/shm" if Path("/dev/shm").exists() else None
TURNS = {10: 20, 100: 20, 1_000: 8, LONG: 8}
"""How many turns a sample has."""
SHORT = 100
"""Up to this length every turn of a sample has a session of its own, made for it; a turn more makes
little difference to a longer one, and those are used again."""
KEPT = 4
"""How many longer ones there are of a length."""
WORDS = "The joint holds without glue: pins and tails lock each other, and only one way opens it."

THIRD = Goal(1 / 3, "≤ 1/3")
HALF = Goal(1 / 2, "≤ 1/2")
FLAT = Goal(1.5, "≤ 1.5")
ABOUT = f"""\
A turn is a question and an answer of {len(WORDS)} characters each. Ours: `append` of both, then
`load` of the whole session. LangGraph's: `aput` of a checkpoint whose `messages` are the history
with both, then `aget_tuple`. Every session has its history already, kept turn by turn, and was
loaded once, as it is in a conversation. "SQLite" is on a disk, each library as it opens its file
(both WAL and `synchronous = full`, so that a turn waits for the disk once); "SQLite in RAM" is the
same without a disk's part in it. PostgreSQL is one server for both, on a socket. {ROUNDS} rounds.
The curve below is a turn whose `load` asks for the latest {TAIL} messages, however long the history
is."""


async def measure() -> Subject:
    """Every store at every length, against its peer."""
    subject = Subject("Sessions", ABOUT, [])
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="dovetail-bench-"))
        ram = Path(tempfile.mkdtemp(prefix="dovetail-bench-", dir=RAM))
        for made in (folder, ram):
            stack.callback(shutil.rmtree, made, ignore_errors=True)
        url = stack.enter_context(postgres())
        cache = stack.enter_context(redis(folder))
        stores: dict[str, dict[str, object]] = {
            "memory": {"use": "in-memory", "max_sessions": 100_000, "max_messages": 20_000},
            "SQLite": {"use": "sqlite", "path": str(folder / "ours.db")},
            "SQLite in RAM": {"use": "sqlite", "path": str(ram / "ours.db")},
            "PostgreSQL": {"use": "postgres", "url": url},
            "Redis": {"use": "redis", "url": cache},
        }
        opened = {name: await stack.enter_async_context(_store(t)) for name, t in stores.items()}
        savers = {
            "memory": InMemorySaver(),
            "SQLite": await stack.enter_async_context(
                AsyncSqliteSaver.from_conn_string(str(folder / "theirs.db"))
            ),
            "SQLite in RAM": await stack.enter_async_context(
                AsyncSqliteSaver.from_conn_string(str(ram / "theirs.db"))
            ),
            "PostgreSQL": await stack.enter_async_context(AsyncPostgresSaver.from_conn_string(url)),
        }
        await savers["PostgreSQL"].setup()
        await _against_savers(subject, opened, savers)
        await _lengths(subject, opened)
    return subject


async def _against_savers(
    subject: Subject, stores: dict[str, SessionStore], savers: dict[str, Any]
) -> None:
    for name, saver in savers.items():
        store, goal = stores[name], HALF if name == "PostgreSQL" else THIRD
        for length in HISTORIES:
            samples = {
                "ours": _sample(_ours(store), _turn(store, None), length),
                "theirs": _sample(_theirs(saver), _their_turn(saver), length),
            }
            taken = await interleave(samples, ROUNDS)
            row = compare(
                f"kept turn: {name}, history of {length:,}",
                taken["ours"],
                (f"LangGraph {type(saver).__name__}", taken["theirs"]),
                goal,
            )
            subject.rows.append(row)
            if row.missed:
                await _explain(subject, row, store, length)


async def _explain(subject: Subject, row: Row, store: SessionStore, length: int) -> None:
    turn, sessions = _turn(store, None), [await _ours(store)(length) for _ in range(200)]
    subject.profiles[row.what] = await profile(lambda number: turn(sessions[number]), 100)


async def _lengths(subject: Subject, stores: dict[str, SessionStore]) -> None:
    """How a turn's cost grows with the history, when only its tail is loaded."""
    lengths = (*HISTORIES, LONG)
    curves: dict[str, list[float]] = {}
    for name, store in stores.items():
        samples = {str(n): _sample(_ours(store), _turn(store, TAIL), n) for n in lengths}
        taken = await interleave(samples, ROUNDS)
        curves[name] = [statistics.median(taken[str(n)]) for n in lengths]
        first, last = curves[name][0], curves[name][-1]
        what = f"kept turn: {name}, history of {LONG:,} by one of {lengths[0]}"
        peer = f"{duration(first)} at {lengths[0]}"
        subject.rows.append(Row(what, duration(last), peer, last / first, FLAT))
    subject.figures["A kept turn by the length of its history"] = _chart(lengths, curves)


def _chart(lengths: tuple[int, ...], curves: dict[str, list[float]]) -> str:
    lines = ["| history | " + " | ".join(curves) + " |", "|---:|" + "---:|" * len(curves)]
    for place, length in enumerate(lengths):
        cells = " | ".join(duration(curve[place]) for curve in curves.values())
        lines.append(f"| {length:,} | {cells} |")
    axis = ", ".join(f'"{length:,}"' for length in lengths)
    chart = ["```mermaid", "xychart-beta", f"    x-axis [{axis}]", '    y-axis "µs a turn"']
    chart += (
        "    line [" + ", ".join(f"{seconds * 1e6:.0f}" for seconds in curve) + "]"
        for curve in curves.values()
    )
    return "\n".join([*lines, "", *chart, "```"])


def _sample(prepare: Prepare, turn: Turn, length: int) -> Sample:
    kept: list[Any] = []

    async def sample() -> float:
        times = TURNS[length]
        if length <= SHORT or not kept:
            kept[:] = [await prepare(length) for _ in range(times if length <= SHORT else KEPT)]
        for session in kept if length > SHORT else ():
            await turn(session)  # those made just now are warm too
        began = time.perf_counter()
        for number in range(times):
            await turn(kept[number % len(kept)])
        return (time.perf_counter() - began) / times

    return sample


def _ours(store: SessionStore) -> Prepare:
    async def prepare(length: int) -> Session:
        session = Session(session_id=new_id())
        for _ in range(length // 2):
            await store.append(session, _said())
        await store.load(session.session_id)
        return session

    return prepare


def _turn(store: SessionStore, last: int | None) -> Turn:
    async def turn(session: Session) -> None:
        await store.append(session, _said())
        found = await store.load(session.session_id, last)
        assert found is not None
        assert found.history[-1].text == WORDS

    return turn


def _said() -> list[ChatMessage]:
    return [ChatMessage.user(WORDS), ChatMessage.assistant(WORDS)]


def _theirs(saver: Any) -> Prepare:
    async def prepare(length: int) -> tuple[dict[str, Any], list[Any]]:
        config = {"configurable": {"thread_id": new_id(), "checkpoint_ns": ""}}
        history = _their_words() * (length // 2)
        return await _put(saver, config, history), history

    return prepare


def _their_turn(saver: Any) -> Turn:
    async def turn(prepared: tuple[dict[str, Any], list[Any]]) -> None:
        config, history = prepared
        await _put(saver, config, [*history, *_their_words()])
        thread = {"configurable": {"thread_id": config["configurable"]["thread_id"]}}
        found = await saver.aget_tuple(thread)
        assert found.checkpoint["channel_values"]["messages"][-1].content == WORDS

    return turn


async def _put(saver: Any, config: dict[str, Any], messages: list[Any]) -> dict[str, Any]:
    checkpoint = empty_checkpoint()
    version = new_id()
    checkpoint["channel_values"] = {"messages": messages}
    checkpoint["channel_versions"] = {"messages": version}
    put: dict[str, Any] = await saver.aput(config, checkpoint, {}, {"messages": version})
    return put


def _their_words() -> list[Any]:
    return [HumanMessage(WORDS, id=new_id()), AIMessage(WORDS, id=new_id())]


@asynccontextmanager
async def _store(table: dict[str, object]) -> AsyncIterator[SessionStore]:
    async with Kernel.open({"sessions": {**table, "lifetime": "10h"}}, env={}) as kernel:
        yield kernel.sessions.store
