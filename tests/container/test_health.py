"""Asking what is registered whether it works."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from dovetail.container import DependencyHealth, SmartDependencyContainer


class Pool:
    def __init__(self) -> None:
        self.pings = 0
        self.open = True

    async def ping(self) -> None:
        """What such pools have."""
        await asyncio.sleep(0)
        self.pings += 1


@pytest.fixture
def container() -> SmartDependencyContainer:
    return SmartDependencyContainer()


def states(report: list[DependencyHealth]) -> dict[str, str]:
    """The states by key."""
    return {health.key: health.state for health in report}


async def test_each_registration_tells_how_it_is(container: SmartDependencyContainer) -> None:
    def refuses(_: object) -> None:
        raise OSError("refused, password=hunter22")

    async def works(pool: Pool) -> None:
        await pool.ping()

    pool = Pool()
    container.register_instance(Pool, pool, ping=works)
    container.register_factory("broken", lambda: 1, ping=refuses)
    container.register_instance("plain", 1)
    container.register_instance("no", 1, ping=lambda _: False)
    report = await container.health()
    assert states(report) == {
        "Pool": "ok",
        '"broken"': "failed",
        '"plain"': "unknown",
        '"no"': "failed",
    }
    assert [health.error for health in report] == [
        "",
        "OSError: refused, password=***",
        "",
        "its ping said no",
    ]
    assert pool.pings == 1


async def test_a_function_that_gives_a_coroutine_is_a_ping_too(
    container: SmartDependencyContainer,
) -> None:
    pool = Pool()
    container.register_instance(Pool, pool, ping=lambda pool: pool.ping())
    assert states(await container.health()) == {"Pool": "ok"}
    assert pool.pings == 1


async def test_what_cannot_be_built_has_failed(container: SmartDependencyContainer) -> None:
    def broken() -> Pool:
        raise OSError("no server")

    container.register_factory(Pool, broken, ping=lambda _: None)
    [health] = await container.health()
    assert (health.state, health.error) == (
        "failed",
        "`Pool` could not be built: OSError: no server",
    )


async def test_what_belongs_to_a_context_is_built_for_the_ping_alone(
    container: SmartDependencyContainer,
) -> None:
    pools: list[Pool] = []

    async def lend() -> AsyncIterator[Pool]:
        pools.append(Pool())
        yield pools[-1]
        pools[-1].open = False

    container.register_factory(Pool, lend, scope="context", ping=lambda pool: pool.open)
    assert states(await container.health()) == {"Pool": "ok"}
    assert [pool.open for pool in pools] == [False]


def hangs_in_a_thread(stop: threading.Event) -> Callable[[Any], Any]:
    """A ping that blocks."""
    return lambda _: stop.wait()


def hangs_in_the_loop(stop: threading.Event) -> Callable[[Any], Any]:
    """A ping that waits, and does not want to be cancelled."""

    async def ping(_: object) -> None:
        while not stop.is_set():
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                continue

    return ping


@pytest.mark.parametrize("hangs", [hangs_in_a_thread, hangs_in_the_loop])
async def test_a_ping_that_hangs_harms_nobody_and_is_not_repeated(
    container: SmartDependencyContainer, hangs: Callable[[threading.Event], Callable[[Any], Any]]
) -> None:
    stop = threading.Event()
    container.register_instance("hangs", 1, ping=hangs(stop))
    container.register_instance("works", 1, ping=lambda _: None)
    first, second = await container.health(limit=0.05), await container.health(limit=0.05)
    assert states(first) == states(second) == {'"hangs"': "failed", '"works"': "ok"}
    assert first[0].error == "no answer within 0.05 s"
    assert second[0].error == "its last ping still hangs"
    stop.set()
    async with asyncio.timeout(5):
        while states(await container.health())['"hangs"'] != "ok":  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.001)


async def test_a_ping_that_hangs_is_given_up_when_the_container_closes(
    container: SmartDependencyContainer,
) -> None:
    pinged, cancelled = asyncio.Event(), asyncio.Event()

    async def ping(_: object) -> None:
        try:
            pinged.set()
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    container.register_instance("hangs", 1, ping=ping)
    asking = asyncio.create_task(container.health(limit=50))
    await pinged.wait()
    await container.aclose()
    [health] = await asking
    assert health.error == "its ping was cancelled from within"
    assert cancelled.is_set()
