"""Many tasks and threads at once."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dovetail import ExecutionContext
from dovetail.container import SmartDependencyContainer
from dovetail.errors import AsyncDependency, DependencyCycle, DependencyResolutionError

MANY = 1000
THREADS = 16


class Pool:
    pass


class Repo:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Other:
    pass


@pytest.fixture
def container() -> SmartDependencyContainer:
    return SmartDependencyContainer()


def in_threads(work: Callable[[], Any], count: int = THREADS) -> list[Any]:
    """What `work` gives in each of so many threads that start together."""
    barrier = threading.Barrier(count)

    def run() -> Any:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(run) for _ in range(count)]]


@pytest.mark.parametrize("scope", ["kernel", "context"])
async def test_a_thousand_tasks_call_the_factory_once(
    container: SmartDependencyContainer, scope: Any
) -> None:
    calls: list[int] = []

    async def pool() -> Pool:
        calls.append(1)
        for _ in range(5):
            await asyncio.sleep(0)
        return Pool()

    container.register_factory(Pool, pool, scope=scope)
    container.register_factory(Repo, Repo, scope=scope)
    context = ExecutionContext()
    repos = await asyncio.gather(*(container.aresolve(Repo, context) for _ in range(MANY)))
    assert len(calls) == 1
    assert len(set(map(id, repos))) == 1


@pytest.mark.parametrize("scope", ["kernel", "context"])
def test_threads_call_the_factory_once(container: SmartDependencyContainer, scope: Any) -> None:
    calls: list[int] = []
    pause = threading.Event()

    def pool() -> Pool:
        calls.append(1)
        pause.wait(0.01)  # lets the other threads come and find it being built
        return Pool()

    container.register_factory(Pool, pool, scope=scope)
    container.register_factory(Repo, Repo, scope=scope)
    context = ExecutionContext()
    repos = in_threads(lambda: [container.resolve(Repo, context) for _ in range(MANY // THREADS)])
    assert len(calls) == 1
    assert len({id(repo) for some in repos for repo in some}) == 1


def test_event_loops_in_several_threads_call_the_factory_once(
    container: SmartDependencyContainer,
) -> None:
    calls: list[int] = []

    async def pool() -> Pool:
        calls.append(1)
        await asyncio.sleep(0.01)  # the other loops come meanwhile
        return Pool()

    async def ask() -> list[Pool]:
        return await asyncio.gather(*(container.aresolve(Pool) for _ in range(20)))

    container.register_factory(Pool, pool)
    pools = in_threads(lambda: asyncio.run(ask()), 4)
    assert len(calls) == 1
    assert len({id(pool) for some in pools for pool in some}) == 1


def test_a_thread_waits_for_what_a_loop_elsewhere_builds(
    container: SmartDependencyContainer,
) -> None:
    started, go_on = threading.Event(), threading.Event()

    async def pool() -> Pool:
        started.set()
        await asyncio.to_thread(go_on.wait)
        return Pool()

    container.register_factory(Pool, pool)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lambda: asyncio.run(container.aresolve(Pool)))
        started.wait()
        second = threads.submit(container.resolve, Pool)
        go_on.set()
        assert first.result() is second.result()


async def test_a_task_does_not_stop_its_loop_for_what_a_thread_builds(
    container: SmartDependencyContainer,
) -> None:
    started, go_on = threading.Event(), threading.Event()

    def pool() -> Pool:
        started.set()
        go_on.wait()
        return Pool()

    container.register_factory(Pool, pool)
    thread = asyncio.create_task(asyncio.to_thread(container.resolve, Pool))
    await asyncio.to_thread(started.wait)
    task = asyncio.create_task(container.aresolve(Pool))
    await asyncio.sleep(0)
    go_on.set()  # by the same loop: it was not stopped
    assert await task is await thread


async def test_the_synchronous_pair_does_not_wait_for_a_task_of_its_own_loop(
    container: SmartDependencyContainer,
) -> None:
    go_on = asyncio.Event()

    async def pool() -> Pool:
        await go_on.wait()
        return Pool()

    container.register_factory(Pool, pool)
    container.register_factory(Repo, Repo)
    task = asyncio.create_task(container.aresolve(Repo))
    await asyncio.sleep(0)
    with pytest.raises(AsyncDependency, match="a task is just building `Repo`"):
        container.resolve(Repo)
    go_on.set()
    assert container.resolve(Repo) is await task if task.done() else await task


async def test_a_failure_is_told_to_all_who_waited_each_with_its_own_chain(
    container: SmartDependencyContainer,
) -> None:
    calls: list[int] = []

    async def pool() -> Pool:
        calls.append(1)
        await asyncio.sleep(0)
        raise OSError("refused")

    container.register_factory(Pool, pool)
    results = await asyncio.gather(
        *(container.aresolve(key) for key in [Pool, Repo] * 10), return_exceptions=True
    )
    assert len(calls) == 1
    chains = [r.chain for r in results if isinstance(r, DependencyResolutionError)]
    assert chains == [("Pool",), ("Repo", "Pool")] * 10
    with pytest.raises(DependencyResolutionError):
        await container.aresolve(Pool)
    assert len(calls) == 2


async def test_who_waited_goes_on_when_the_builder_is_cancelled(
    container: SmartDependencyContainer,
) -> None:
    calls: list[int] = []
    go_on = asyncio.Event()

    async def pool() -> Pool:
        calls.append(1)
        await go_on.wait()
        return Pool()

    container.register_factory(Pool, pool)
    builder, *waiting = [asyncio.create_task(container.aresolve(Pool)) for _ in range(10)]
    await asyncio.sleep(0)
    builder.cancel()
    await asyncio.wait([builder])
    go_on.set()
    pools = await asyncio.gather(*waiting)
    assert builder.cancelled()
    assert len(set(map(id, pools))) == 1
    assert len(calls) == 2


async def test_who_stops_waiting_harms_nobody(container: SmartDependencyContainer) -> None:
    go_on = asyncio.Event()

    async def pool() -> Pool:
        await go_on.wait()
        return Pool()

    container.register_factory(Pool, pool)
    tasks = [asyncio.create_task(container.aresolve(Pool)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])
    go_on.set()
    assert await tasks[0] is await tasks[2]


def test_a_factory_that_asks_for_itself_is_a_cycle(container: SmartDependencyContainer) -> None:
    container.register_factory(Pool, lambda: container.resolve(Repo))
    container.register_factory(Repo, Repo)
    with pytest.raises(DependencyCycle, match="a cycle: Pool → Repo → Pool; let one of them"):
        container.resolve(Pool)


async def test_an_asynchronous_factory_that_asks_for_itself_is_a_cycle(
    container: SmartDependencyContainer,
) -> None:
    async def pool() -> Any:
        return await asyncio.wait_for(container.aresolve(Repo), 5)  # in a task of its own

    container.register_factory(Pool, pool)
    with pytest.raises(DependencyCycle, match="Pool → Pool"):
        await container.aresolve(Pool)


def test_a_transient_factory_that_asks_for_itself_ends(container: SmartDependencyContainer) -> None:
    container.register_factory(Pool, lambda: container.resolve(Pool), scope="transient")
    with pytest.raises(DependencyCycle, match="`Pool` asks for itself without end") as caught:
        container.resolve(Pool)
    assert "Pool → … → Pool" in str(caught.value)


async def test_two_tasks_that_would_wait_for_each_other_are_told(
    container: SmartDependencyContainer,
) -> None:
    async def pool() -> Any:
        await asyncio.sleep(0)
        return await container.aresolve(Other)

    async def other() -> Any:
        await asyncio.sleep(0)
        return await container.aresolve(Pool)

    container.register_factory(Pool, pool)
    container.register_factory(Other, other)
    results = await asyncio.gather(
        container.aresolve(Pool), container.aresolve(Other), return_exceptions=True
    )
    assert all(isinstance(result, DependencyCycle) for result in results)
    assert "Other → Pool → Other" in str(results[0])


def test_two_threads_that_would_wait_for_each_other_are_told(
    container: SmartDependencyContainer,
) -> None:
    both = threading.Barrier(2)

    def pool() -> Any:
        both.wait()
        return container.resolve(Other)

    def other() -> Any:
        both.wait()
        return container.resolve(Pool)

    container.register_factory(Pool, pool)
    container.register_factory(Other, other)
    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(container.resolve, key) for key in (Pool, Other)]
        errors = [future.exception() for future in futures]
    assert all(isinstance(error, DependencyCycle) for error in errors)


def test_registering_while_others_ask_loses_nothing(container: SmartDependencyContainer) -> None:
    keys = iter(range(10_000))

    def work() -> None:
        for _ in range(100):
            key = f"key {next(keys)}"
            container.register_instance(key, key)
            assert container.get(key) == key
            assert isinstance(container.resolve(Repo), Repo)

    in_threads(work, 4)
