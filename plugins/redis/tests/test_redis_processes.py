"""Several processes use the same sessions, and any of them may die."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dovetail import Kernel, SessionBusy
from dovetail.testing import FakeModel, Gate, fake_plugin
from plugins.redis.tests.sayings import an_hour_long, said, turn
from plugins.redis.tests.servers import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dovetail_redis import RedisSessionStore
    from plugins.redis.tests.conftest import Open

ROOT = Path(__file__).parents[3]
ENOUGH = 10_000
"""Writes after which the power is cut."""


@pytest.fixture
def careful(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that acknowledges what is on its disk."""
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    yield server.start()
    server.stop()


def writer(url: str, prefix: str, first: int, many: int = 0) -> subprocess.Popen[str]:
    arguments = [url, prefix, "work", str(first), str(many)]
    return subprocess.Popen(
        [sys.executable, "-m", "plugins.redis.tests.writer", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_what_was_acknowledged_outlives_a_kill_of_writer_and_server(
    careful: RedisServer, opened: Open, prefix: str
) -> None:
    with writer(careful.url, prefix, 0) as process:
        assert process.stdout is not None
        acknowledged = {int(process.stdout.readline()) for _ in range(ENOUGH)}
        process.kill()
        careful.kill()
        acknowledged |= {int(line) for line in process.stdout if line.endswith("\n")}
    await asyncio.to_thread(careful.start)
    store = await opened(url=careful.url)
    texts = await said(store, an_hour_long("work"))
    questions, answers = texts[::2], texts[1::2]
    kept = [int(text.removeprefix("question ")) for text in questions]
    assert len(kept) == len(set(kept)), "a turn is there twice"
    assert acknowledged <= set(kept), f"{len(acknowledged - set(kept))} turns were lost"
    assert len(set(kept) - acknowledged) <= 10, "more than were under way were not acknowledged"
    assert answers == [f"answer {number}" for number in kept]


async def test_two_processes_write_at_once_and_nothing_is_lost(
    shared: RedisServer, store: RedisSessionStore, prefix: str
) -> None:
    with writer(shared.url, prefix, 0, 300) as one, writer(shared.url, prefix, 1000, 300) as two:
        for number in range(2000, 2100):
            await store.append(an_hour_long("work"), turn(number))
        for process in (one, two):
            await asyncio.to_thread(process.communicate)
            assert process.returncode == 0
    texts = await said(store, an_hour_long("work"))
    numbers = [*range(300), *range(1000, 1300), *range(2000, 2100)]
    assert sorted(texts) == sorted(m.text for number in numbers for m in turn(number))
    assert all(q.split()[1] == a.split()[1] for q, a in zip(texts[::2], texts[1::2], strict=True))


async def test_a_session_that_one_process_creates_is_listed_in_another(
    shared: RedisServer, store: RedisSessionStore, prefix: str
) -> None:
    with writer(shared.url, prefix, 0, 1) as process:
        await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    assert [s.message_count for s in await store.list_sessions()] == [2]


def opened_by_file(file: Path, model: FakeModel) -> Kernel:
    kernel = Kernel.open(file, env={})
    kernel.register("fake", fake_plugin(model))
    return kernel


@pytest.fixture
def config(tmp_path: Path, shared: RedisServer, prefix: str) -> Path:
    """A config file whose sessions are in Redis."""
    file = tmp_path / "dovetail.toml"
    file.write_text(
        f"""
        chat.model = "fake"
        providers.fake = {{}}

        [sessions]
        use = "redis"
        url = "{shared.url}"
        prefix = "{prefix}"
        wait_timeout = "300ms"
        """,
        encoding="utf-8",
    )
    return file


async def test_a_kernel_goes_on_where_another_stopped(config: Path) -> None:
    async with opened_by_file(config, FakeModel("Hello Ada")) as kernel:
        await kernel.chat("I am Ada", session="work")
    model = FakeModel("You are Ada")
    async with opened_by_file(config, model) as kernel:
        answer = await kernel.chat("Who am I?", session="work")
    assert answer.text == "You are Ada"
    heard = [message.text for message in model.requests[0].messages]
    assert heard == ["I am Ada", "Hello Ada", "Who am I?"]


async def test_a_session_has_one_turn_at_a_time_across_kernels(config: Path) -> None:
    gate = Gate()
    one = opened_by_file(config, FakeModel([gate, "first"]))
    two = opened_by_file(config, FakeModel("second", "third"))
    async with one, two:
        answering = asyncio.create_task(one.chat("Hello", session="work"))
        await gate.reached()
        with pytest.raises(SessionBusy, match="another process holds it"):
            await two.chat("Hello", session="work")
        gate.open()
        assert (await answering).text == "first"
        await one.close()  # by then the lease is given back
        assert (await two.chat("Hello", session="work")).text == "second"
