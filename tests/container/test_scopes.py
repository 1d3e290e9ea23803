"""How long things last, and how they are cleaned up."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Self

import pytest

from dovetail import ExecutionContext
from dovetail.container import SmartDependencyContainer
from dovetail.errors import (
    CaptiveDependency,
    ContextRequired,
    DependencyError,
    DependencyResolutionError,
)


class Pool:
    pass


class Repo:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Service:
    def __init__(self, repo: Repo) -> None:
        self.repo = repo


class Journal:
    """Notes what is opened and closed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def factory(self, name: str, cls: type = object) -> Callable[[], Iterator[object]]:
        """A generator function that makes a `cls`, for a container to call."""

        def make() -> Iterator[object]:
            self.lines.append(f"open {name}")
            try:
                yield cls()
            except ValueError as error:
                self.lines.append(f"{name} sees {error}")
                raise
            finally:
                self.lines.append(f"close {name}")

        return make


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def container() -> SmartDependencyContainer:
    return SmartDependencyContainer()


async def test_what_is_kept_with_a_context_is_one_in_it_and_others_elsewhere(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory(Pool, Pool)
    container.register_factory(Repo, Repo, scope="context")
    first, second = ExecutionContext(), ExecutionContext()
    repo = container.resolve(Repo, first)
    assert container.resolve(Service, first).repo is repo
    assert container.resolve(Repo, second) is not repo
    assert container.resolve(Repo, second).pool is repo.pool


async def test_the_current_context_is_the_default(container: SmartDependencyContainer) -> None:
    container.register_factory("context", lambda context: context)
    async with container.scope() as context:
        assert container.get("context") is context
        async with container.scope() as child:
            assert child.parent_id == context.context_id
            assert await container.aget("context") is child
        assert container.get("context") is context
    assert container.get("context") is None


async def test_things_are_cleaned_up_in_reverse(
    container: SmartDependencyContainer, journal: Journal
) -> None:
    container.register_factory(Pool, journal.factory("pool", Pool), scope="context")

    @contextmanager
    def repo(pool: Pool) -> Iterator[Repo]:
        journal.lines.append("open repo")
        yield Repo(pool)
        journal.lines.append("close repo")

    container.register_factory(Repo, repo, scope="context")
    async with container.scope():
        container.resolve(Service)
        assert journal.lines == ["open pool", "open repo"]
    assert journal.lines == ["open pool", "open repo", "close repo", "close pool"]


async def test_the_kernel_ends_after_the_contexts_that_did_not(
    container: SmartDependencyContainer, journal: Journal
) -> None:
    container.register_factory("kernel", journal.factory("kernel"))
    container.register_factory("context", journal.factory("context"), scope="context")
    context = ExecutionContext()
    async with container:
        container.get("context", context)
        container.get("kernel")
    assert journal.lines[2:] == ["close context", "close kernel"]


async def test_a_closed_container_gives_nothing(
    container: SmartDependencyContainer, journal: Journal
) -> None:
    container.register_factory("thing", journal.factory("thing"))

    def function(pool: Pool) -> Pool:
        return pool

    fill = container.inject(function)
    container.get("thing")
    await container.aclose()
    await container.aclose()
    assert journal.lines == ["open thing", "close thing"]
    with pytest.raises(DependencyError, match="the container is closed"):
        container.get("thing")
    with pytest.raises(DependencyError, match="the container is closed"):
        fill()


async def test_a_context_that_ended_builds_anew_if_it_is_used_again(
    container: SmartDependencyContainer, journal: Journal
) -> None:
    container.register_factory("thing", journal.factory("thing"), scope="context")
    context = ExecutionContext()
    first = container.get("thing", context)
    assert container.holds(context)
    await container.end(context)
    assert not container.holds(context)
    assert container.get("thing", context) is not first
    await container.end(context)
    assert journal.lines == ["open thing", "close thing"] * 2


async def test_nothing_is_held_for_a_context_for_which_nothing_was_built(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory(Pool, Pool)
    context = ExecutionContext()
    container.resolve(Repo, context)
    assert not container.holds(context)
    await container.end(context)


async def test_an_error_reaches_the_context_managers(
    container: SmartDependencyContainer, journal: Journal
) -> None:
    container.register_factory("transaction", journal.factory("transaction"), scope="context")
    with pytest.raises(ValueError, match="no money"):
        async with container.scope():
            container.get("transaction")
            raise ValueError("no money")
    assert journal.lines[1:] == ["transaction sees no money", "close transaction"]


async def test_one_clean_up_that_fails_does_not_keep_the_others(
    container: SmartDependencyContainer, journal: Journal
) -> None:
    def broken() -> Iterator[str]:
        yield "broken"
        raise OSError("cannot close")

    container.register_factory("first", journal.factory("first"), scope="context")
    container.register_factory("second", broken, scope="context")
    container.register_factory("third", journal.factory("third"), scope="context")
    context = ExecutionContext()
    for key in ("first", "second", "third"):
        container.get(key, context)
    with pytest.raises(DependencyError, match='cleaning up failed for "second"') as caught:
        await container.end(context)
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert "cannot close" in str(caught.value.__cause__.exceptions[0])
    assert journal.lines[2:] == ["close third", "close first"]


async def test_a_factory_that_raises_half_way_leaves_nothing_open(
    container: SmartDependencyContainer, journal: Journal
) -> None:
    container.register_factory("kept", journal.factory("kept", Pool))
    container.register_factory(Pool, journal.factory("own", Pool), scope="transient")

    def broken(pool: Pool, other: Repo) -> Iterator[Service]:
        journal.lines.append("half way")
        if journal.lines:
            raise ValueError("broken")
        yield Service(other)

    container.register_factory(Service, broken)
    container.get("kept")
    with pytest.raises(DependencyResolutionError, match="broken"):
        container.resolve(Service)
    assert journal.lines == [
        "open kept",
        "open own",
        "open own",
        "half way",
        "close own",
        "close own",
    ]
    await container.aclose()
    assert journal.lines[-1] == "close kept"


async def test_a_clean_up_that_fails_too_is_noted_on_the_error(
    container: SmartDependencyContainer,
) -> None:
    def needed() -> Iterator[Pool]:
        try:
            yield Pool()
        finally:
            raise OSError("cannot close")

    def broken(pool: Pool) -> Repo:
        raise ValueError("broken")

    container.register_factory(Pool, needed, scope="transient")
    container.register_factory(Repo, broken)
    with pytest.raises(DependencyResolutionError, match="broken") as caught:
        container.resolve(Repo)
    assert "cleaning up failed for Pool" in caught.value.__notes__[0]


async def test_what_a_transient_thing_opens_is_closed_with_the_context(
    container: SmartDependencyContainer, journal: Journal
) -> None:
    container.register_factory("transient:x", journal.factory("x"))
    async with container.scope():
        assert container.get("transient:x") is not container.get("transient:x")
    assert journal.lines == ["open x", "open x", "close x", "close x"]


def test_a_transient_thing_that_nobody_would_close_is_refused(
    container: SmartDependencyContainer, journal: Journal
) -> None:
    container.register_factory("transient:x", journal.factory("x"))
    with pytest.raises(DependencyResolutionError, match="nothing would ever do that"):
        container.get("transient:x")
    assert journal.lines == []


async def test_a_transient_thing_whose_context_ends_while_it_is_made_is_closed_at_once(
    container: SmartDependencyContainer, journal: Journal
) -> None:
    context = ExecutionContext()

    def slow() -> Iterator[int]:
        journal.lines.append("open")
        thread = threading.Thread(target=lambda: asyncio.run(container.end(context)))
        thread.start()
        thread.join()
        yield 1
        journal.lines.append("not reached")

    @contextmanager
    def noted() -> Iterator[int]:
        with contextmanager(slow)() as value:
            try:
                yield value
            finally:
                journal.lines.append("close")

    container.register_factory("kept", lambda: 1, scope="context")
    container.register_factory("transient:slow", noted)
    for ask in (container.get, container.aget):
        container.get("kept", context)
        with pytest.raises(DependencyResolutionError, match="has ended meanwhile"):
            asked = ask("transient:slow", context)
            await asked
    assert journal.lines == ["open", "close"] * 2


async def test_a_context_manager_can_be_left_as_it_is(container: SmartDependencyContainer) -> None:
    @contextmanager
    def manager() -> Iterator[int]:
        yield 1

    container.register_factory("entered", manager)
    container.register_factory("left", manager, enter=False)
    assert container.get("entered") == 1
    with container.get("left") as value:
        assert value == 1
    await container.aclose()


async def test_a_class_that_is_a_context_manager_is_entered(
    container: SmartDependencyContainer,
) -> None:
    class Connection:
        state = "new"

        def __enter__(self) -> Self:
            self.state = "open"
            return self

        def __exit__(self, *_: object) -> None:
            self.state = "closed"

    container.register_factory(Connection, Connection)
    connection = container.resolve(Connection)
    assert connection.state == "open"
    await container.aclose()
    assert connection.state == "closed"
    assert SmartDependencyContainer().resolve(Connection).state == "new"


def test_what_belongs_to_a_context_needs_one(container: SmartDependencyContainer) -> None:
    def asks(context: ExecutionContext) -> Repo:
        return Repo(Pool())

    container.register_factory(Pool, Pool, scope="context")
    container.register_factory(Repo, asks)
    with pytest.raises(ContextRequired, match="`Pool` is of a context, and there is none"):
        container.resolve(Pool)
    with pytest.raises(ContextRequired) as caught:
        container.resolve(Service)
    assert caught.value.chain == ("Service", "Repo")


def test_the_kernel_does_not_keep_what_belongs_to_a_context(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory(Pool, Pool, scope="context")
    container.register_factory(Service, Service)
    with pytest.raises(CaptiveDependency) as caught:
        container.resolve(Service, ExecutionContext())
    assert caught.value.chain == ("Service", "Repo", "Pool")
    assert str(caught.value) == (
        "`Service` is kept with the kernel, but `Pool`, which it needs, lasts only as long as a "
        'context: register `Service` with scope="context", or let it ask when it is used '
        "(asked for by Service → Repo → Pool)"
    )


def test_nor_does_it_if_the_dependency_is_optional(container: SmartDependencyContainer) -> None:
    def service(pool: Pool | None = None) -> Service:
        raise AssertionError

    container.register_factory(Pool, Pool, scope="context")
    container.register_factory(Service, service, scope="kernel")
    with pytest.raises(CaptiveDependency):
        container.resolve(Service)


def test_an_optional_thing_of_a_context_is_left_out_where_there_is_none(
    container: SmartDependencyContainer,
) -> None:
    class Asks:
        def __init__(self, pool: Pool | None, context: ExecutionContext | None) -> None:
            self.all = (pool, context)

    container.register_factory(Pool, Pool, scope="context")
    assert container.resolve(Asks).all == (None, None)
    context = ExecutionContext()
    assert container.resolve(Asks, context).all == (container.resolve(Pool, context), context)


def test_a_context_that_goes_away_takes_what_was_built_with_it(
    container: SmartDependencyContainer,
) -> None:
    def repo(context: ExecutionContext) -> Repo:
        made = Repo(Pool())
        made.context = context  # type: ignore[attr-defined]
        return made

    container.register_factory(Repo, repo)
    context = ExecutionContext()
    gone = weakref.ref(container.resolve(Repo, context))
    del context
    gc.collect()
    assert gone() is None


@pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
def test_a_context_that_goes_away_without_its_end_is_told(
    container: SmartDependencyContainer, journal: Journal
) -> None:
    container.register_factory("thing", journal.factory("thing"), scope="context")
    with pytest.warns(ResourceWarning, match="never cleaned up: end a context with"):
        container.get("thing", ExecutionContext())


async def test_a_clean_up_that_is_cancelled_ends_however_many_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hanging() -> AsyncIterator[Pool]:
        yield Pool()
        await asyncio.Event().wait()

    monkeypatch.setattr("dovetail.container.cleanup.LAST_SECONDS", 0.01)
    container, journal = SmartDependencyContainer(), Journal()
    container.register_factory("first", journal.factory("first"))
    names = [str(number) for number in range(3)]
    for name in names:
        container.register_factory(name, hanging)
    for name in ["first", *names]:
        await container.aget(name)
    closing = asyncio.create_task(container.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    done, _ = await asyncio.wait([closing], timeout=5)
    assert done
    assert closing.cancelled()
    assert journal.lines == ["open first", "close first"]
