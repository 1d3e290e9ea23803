"""Several processes, and ones that die."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import Kernel, Session, SessionBusy, new_id
from dovetail.testing import FakeModel, Gate, fake_plugin
from plugins.postgres.tests.sayings import said, turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plugins.postgres.tests.conftest import Open
    from plugins.postgres.tests.server import Server

ROOT = Path(__file__).parents[3]
"""From where the writer can import what the tests share."""


@contextmanager
def writer(
    url: str, schema: str, session_id: str, first: int, count: int
) -> Iterator[subprocess.Popen[str]]:
    program = [sys.executable, "-m", "plugins.postgres.tests.writer"]
    arguments = [url, schema, session_id, str(first), str(count)]
    with subprocess.Popen(
        [*program, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_a_writer_that_is_killed_loses_nothing_it_was_told_is_kept(
    server: Server, opened: Open, schema: str
) -> None:
    with writer(server.url, schema, "work", 0, 10_000) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        acknowledged = [await asyncio.to_thread(next, lines) for _ in range(1500)]
        process.kill()
        acknowledged += list(lines)
    store = await opened(schema=schema)
    texts = await said(store, Session(session_id="work"))
    done = len(acknowledged)
    expected = [message.text for number in range(done + 1) for message in turn(number)]
    assert done < 10_000, "it was done before it was killed"
    assert texts in (expected[:-2], expected), "of the last one nobody was told"


async def test_two_processes_that_start_and_write_at_once_lose_nothing(
    server: Server, opened: Open, schema: str
) -> None:
    """They make the tables, the session and its history, all at the same time."""
    count = 200
    with (
        writer(server.url, schema, "work", 0, count) as one,
        writer(server.url, schema, "work", count, count) as other,
    ):
        assert [await asyncio.to_thread(process.wait) for process in (one, other)] == [0, 0]
    store = await opened(schema=schema)
    texts = await said(store, Session(session_id="work"))
    assert sorted(texts) == sorted(m.text for number in range(2 * count) for m in turn(number))
    assert all(q.split()[1] == a.split()[1] for q, a in zip(texts[::2], texts[1::2], strict=True))


def config(server: Server, schema: str, **more: Any) -> dict[str, Any]:
    return {
        "chat": {"model": "fake"},
        "providers": {"fake": {}},
        "sessions": {"use": "postgres", "url": server.url, "schema": schema, **more},
    }


async def test_the_next_kernel_remembers_what_was_said(server: Server, schema: str) -> None:
    said_once = config(server, schema)
    async with Kernel.open(said_once, env={}).register("fake", fake_plugin(FakeModel())) as kernel:
        await kernel.chat("My name is Ada.", session="work")
    model = FakeModel("Ada.")
    async with Kernel.open(said_once, env={}).register("fake", fake_plugin(model)) as kernel:
        assert (await kernel.chat("What is my name?", session="work")).text == "Ada."
        assert [s.session_id for s in await kernel.sessions.store.list_sessions()] == ["work"]
        assert await kernel.sessions.delete_session("work") is True
    heard = [message.text for message in model.requests[0].messages]
    assert heard == ["My name is Ada.", "My name is Ada.", "What is my name?"]


async def test_two_kernels_give_a_session_to_one_turn_at_a_time(
    server: Server, schema: str
) -> None:
    gate = Gate()
    patient, hasty = config(server, schema), config(server, schema, wait_timeout=0.2)
    slow, quick = fake_plugin(FakeModel(["done", gate])), fake_plugin(FakeModel())
    async with (
        Kernel.open(patient, env={}).register("fake", slow) as one,
        Kernel.open(hasty, env={}).register("fake", quick) as other,
    ):
        turn_1 = asyncio.create_task(one.chat("one", session="work"))
        await gate.reached()
        with pytest.raises(SessionBusy, match="another process holds it"):
            await other.chat("two", session="work")
        gate.open()
        await turn_1
        id_ = new_id()
        await asyncio.gather(*(k.chat("three", session=id_) for k in (one, other)))
        kept = await one.sessions.get_session(id_)
    assert kept is not None
    assert [message.text for message in kept.history] == ["three"] * 4
