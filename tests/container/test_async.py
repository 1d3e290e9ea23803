"""What has to be awaited: asynchronous factories, context managers and providers."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from dovetail import ExecutionContext
from dovetail.container import DependencyProvider, SmartDependencyContainer
from dovetail.errors import (
    AsyncDependency,
    CaptiveDependency,
    DependencyError,
    DependencyResolutionError,
)


class Pool:
    state = "closed"


class Repo:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Service:
    def __init__(self, repo: Repo) -> None:
        self.repo = repo


async def open_pool() -> Pool:
    """A factory that really waits."""
    await asyncio.sleep(0)
    pool = Pool()
    pool.state = "open"
    return pool


async def lend_pool() -> AsyncIterator[Pool]:
    """A factory that closes what it opened."""
    pool = await open_pool()
    try:
        yield pool
    finally:
        await asyncio.sleep(0)
        pool.state = "closed"


def starts_opening() -> Coroutine[Any, Any, Pool]:
    """A plain function that gives a coroutine."""
    return open_pool()


def gives_manager() -> AbstractAsyncContextManager[Pool]:
    """A plain function that gives a context manager."""
    return asynccontextmanager(lend_pool)()


class Opens:
    """A callable object that is asynchronous."""

    async def __call__(self) -> Pool:
        return await open_pool()


@pytest.fixture
def container() -> SmartDependencyContainer:
    return SmartDependencyContainer()


@pytest.mark.parametrize(
    "factory",
    [
        open_pool,
        lend_pool,
        asynccontextmanager(lend_pool),
        partial(open_pool),
        Opens(),
        starts_opening,
        gives_manager,
    ],
    ids=[
        "coroutine",
        "generator",
        "manager",
        "partial",
        "object",
        "gives coroutine",
        "gives manager",
    ],
)
async def test_an_asynchronous_factory_is_awaited(
    container: SmartDependencyContainer, factory: Any
) -> None:
    container.register_factory(Pool, factory)
    container.register_factory(Repo, Repo)
    service = await container.aresolve(Service)
    assert service.repo.pool.state == "open"
    assert (await container.aresolve(Service)).repo is service.repo
    await container.aclose()


@pytest.mark.parametrize(
    ("factory", "why"),
    [
        (open_pool, "`Pool` is made by `open_pool`, which is asynchronous"),
        (lend_pool, "`Pool` is made by `lend_pool`, which is asynchronous"),
        (partial(open_pool), "which is asynchronous"),
        (starts_opening, "`Pool` is made by `starts_opening`, which gave a coroutine"),
        (asynccontextmanager(lend_pool), "which is asynchronous"),
        (gives_manager, "gave an asynchronous context manager"),
    ],
    ids=["coroutine", "generator", "partial", "gives coroutine", "manager", "gives manager"],
)
def test_the_synchronous_pair_refuses_it(
    container: SmartDependencyContainer, factory: Any, why: str
) -> None:
    container.register_factory(Pool, factory)
    container.register_factory("pool", factory)
    with pytest.raises(AsyncDependency, match=why) as caught:
        container.resolve(Service)
    assert "await `aresolve` instead of calling `resolve`, or `aget`" in str(caught.value)
    assert caught.value.chain == ("Service", "Repo", "Pool")
    with pytest.raises(AsyncDependency):
        container.get("pool")


async def test_the_synchronous_pair_gives_what_was_built_already(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory(Pool, open_pool)
    pool = await container.aresolve(Pool)
    assert container.resolve(Service).repo.pool is pool


async def test_aget_is_get_that_awaits(container: SmartDependencyContainer) -> None:
    container.register_factory("pool", open_pool)
    container.register_factory("transient:pool", open_pool)
    assert await container.aget("pool") is container.get("pool")
    assert await container.aget("transient:pool") is not await container.aget("transient:pool")


async def test_what_was_opened_is_closed_when_its_scope_ends(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory(Pool, lend_pool, scope="context")
    async with container.scope():
        pool = await container.aresolve(Pool)
        assert pool.state == "open"
    assert pool.state == "closed"


async def test_an_error_of_the_scope_reaches_it(container: SmartDependencyContainer) -> None:
    seen: list[BaseException] = []

    async def transaction() -> AsyncIterator[Pool]:
        try:
            yield Pool()
        except ValueError as error:
            seen.append(error)
            raise

    container.register_factory(Pool, transaction, scope="context")
    with pytest.raises(ValueError, match="no money"):
        async with container.scope():
            await container.aresolve(Pool)
            raise ValueError("no money")
    assert [str(error) for error in seen] == ["no money"]


async def test_it_is_left_by_the_task_that_entered_it(container: SmartDependencyContainer) -> None:
    tasks: list[object] = []
    variable: ContextVar[int] = ContextVar("variable", default=0)

    @asynccontextmanager
    async def manager() -> AsyncIterator[Pool]:
        tasks.append(asyncio.current_task())
        token = variable.set(1)
        async with asyncio.TaskGroup():  # would not end in another task
            yield Pool()
        variable.reset(token)
        tasks.append(asyncio.current_task())

    container.register_factory(Pool, manager)
    await asyncio.create_task(container.aresolve(Pool))
    assert variable.get() == 0
    await container.aclose()
    assert len(tasks) == 2
    assert tasks[0] is tasks[1] is not asyncio.current_task()


async def test_one_that_fails_to_open_is_told(container: SmartDependencyContainer) -> None:
    async def broken() -> AsyncIterator[Pool]:
        await asyncio.sleep(0)
        if Pool.state == "closed":
            raise OSError("refused")
        yield Pool()

    container.register_factory(Pool, broken)
    with pytest.raises(DependencyResolutionError, match="refused") as caught:
        await container.aresolve(Service)
    assert caught.value.chain == ("Service", "Repo", "Pool")
    assert isinstance(caught.value.original_exception, OSError)


async def test_one_that_cancels_itself_is_an_error_and_no_cancellation(
    container: SmartDependencyContainer,
) -> None:
    async def broken() -> AsyncIterator[Pool]:
        if Pool.state == "closed":
            raise asyncio.CancelledError
        yield Pool()

    container.register_factory(Pool, broken)
    with pytest.raises(DependencyResolutionError, match="was cancelled from within"):
        await container.aresolve(Pool)


async def test_one_that_fails_to_close_is_told_and_the_others_are_closed(
    container: SmartDependencyContainer,
) -> None:
    async def broken(pool: Pool) -> AsyncIterator[Repo]:
        yield Repo(pool)
        raise OSError("cannot close")

    container.register_factory(Pool, lend_pool, scope="context")
    container.register_factory(Repo, broken, scope="context")
    context = ExecutionContext()
    repo = await container.aresolve(Repo, context)
    with pytest.raises(DependencyError, match="cleaning up failed for Repo"):
        await container.end(context)
    assert repo.pool.state == "closed"


async def test_who_goes_away_while_it_opens_leaves_nothing_open(
    container: SmartDependencyContainer,
) -> None:
    opening, closed = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[Pool]:
        opening.set()
        try:
            await asyncio.Event().wait()
            yield Pool()
        finally:
            closed.set()

    container.register_factory(Pool, slow)
    task = asyncio.create_task(container.aresolve(Pool))
    await opening.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


async def test_a_context_that_ends_while_something_is_built_for_it_gets_it_no_more(
    container: SmartDependencyContainer,
) -> None:
    opened, go_on = asyncio.Event(), asyncio.Event()
    pools: list[Pool] = []

    async def slow() -> AsyncIterator[Pool]:
        async with asynccontextmanager(lend_pool)() as pool:
            pools.append(pool)
            opened.set()
            await go_on.wait()
            yield pool

    container.register_factory(Pool, slow, scope="context")
    context = ExecutionContext()
    task = asyncio.create_task(container.aresolve(Pool, context))
    await opened.wait()
    await container.end(context)
    go_on.set()
    with pytest.raises(DependencyError, match="has ended meanwhile"):
        await task
    assert pools[0].state == "closed"


async def test_who_is_cancelled_while_cleaning_up_closes_the_rest_all_the_same(
    container: SmartDependencyContainer,
) -> None:
    closing = asyncio.Event()

    async def hangs(pool: Pool) -> AsyncIterator[Repo]:
        try:
            yield Repo(pool)
        finally:
            closing.set()
            await asyncio.Event().wait()

    container.register_factory(Pool, lend_pool, scope="context")
    container.register_factory(Repo, hangs, scope="context")
    context = ExecutionContext()
    repo = await container.aresolve(Repo, context)
    task = asyncio.create_task(container.end(context))
    await closing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert repo.pool.state == "closed"


async def test_a_transient_thing_whose_context_ends_while_it_opens_is_closed_at_once(
    container: SmartDependencyContainer,
) -> None:
    pools: list[Pool] = []
    context = ExecutionContext()

    async def slow() -> AsyncIterator[Pool]:
        async with asynccontextmanager(lend_pool)() as pool:
            pools.append(pool)
            await container.end(context)
            yield pool

    container.register_factory("kept", lambda: 1, scope="context")
    container.register_factory(Pool, slow, scope="transient")
    container.get("kept", context)
    with pytest.raises(DependencyResolutionError, match="has ended meanwhile"):
        await container.aresolve(Pool, context)
    assert [pool.state for pool in pools] == ["closed"]


async def test_a_cancelled_clean_up_tells_what_failed_besides(
    container: SmartDependencyContainer,
) -> None:
    closing = asyncio.Event()

    async def hangs() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closing.set()
            await asyncio.Event().wait()

    async def broken() -> AsyncIterator[int]:
        yield 1
        raise OSError("cannot close")

    container.register_factory("hangs", hangs, scope="context")
    container.register_factory("broken", broken, scope="context")
    context = ExecutionContext()
    for key in ("hangs", "broken"):
        await container.aget(key, context)
    task = asyncio.create_task(container.end(context))
    await closing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.__notes__ == ['cleaning up failed for "broken"; the cause tells why']


async def test_the_kernel_does_not_keep_what_awaits_and_needs_a_context(
    container: SmartDependencyContainer,
) -> None:
    class Own:
        def __init__(self, pool: Pool, context: ExecutionContext) -> None: ...

    async def keeps(own: Own) -> Repo:
        raise AssertionError

    container.register_provider(Later())
    container.register_factory(Repo, keeps)
    with pytest.raises(CaptiveDependency) as caught:
        await container.aresolve(Repo)
    assert caught.value.chain == ("Repo", "Own", "ExecutionContext")


async def test_what_another_loop_opened_is_closed_there(
    container: SmartDependencyContainer,
) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    loops: list[object] = []

    async def pool() -> AsyncIterator[Pool]:
        loops.append(asyncio.get_running_loop())
        yield Pool()
        loops.append(asyncio.get_running_loop())

    def there(work: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    container.register_factory(Pool, pool)
    try:
        made = await there(container.aresolve(Pool))
        assert await container.aresolve(Pool) is made
        await container.aclose()
        assert loops == [loop, loop]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()


async def test_what_a_loop_opened_that_ended_was_closed_with_it(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory(Pool, lend_pool)
    pool = await asyncio.to_thread(asyncio.run, container.aresolve(Pool))
    assert pool.state == "closed"
    await container.aclose()


class Later(DependencyProvider):
    """Provides a pool after a while."""

    def can_provide(self, dependency_type: Any, context: ExecutionContext | None) -> bool:
        return dependency_type is Pool

    async def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Pool:
        return await open_pool()


class GivesCoroutine(Later):
    """The same in another form."""

    def provide(
        self, dependency_type: Any, context: ExecutionContext | None
    ) -> Coroutine[Any, Any, Pool]:
        return open_pool()


class Fails(Later):
    """Fails after a while."""

    async def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Pool:
        await asyncio.sleep(0)
        raise OSError("no pool")


@pytest.mark.parametrize("provider", [Later(), GivesCoroutine()])
async def test_a_provider_may_be_asynchronous(
    container: SmartDependencyContainer, provider: DependencyProvider
) -> None:
    container.register_provider(provider)
    assert (await container.aresolve(Service)).repo.pool.state == "open"
    with pytest.raises(AsyncDependency, match=r"`\w+.provide`, which is asynchronous: await"):
        container.resolve(Service)


async def test_an_asynchronous_provider_that_fails_is_told(
    container: SmartDependencyContainer,
) -> None:
    container.register_provider(Fails())
    with pytest.raises(DependencyResolutionError, match="`Fails` could not provide `Pool`"):
        await container.aresolve(Service)
