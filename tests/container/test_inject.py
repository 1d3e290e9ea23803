"""Functions whose missing arguments come from the container."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import ExecutionContext
from dovetail.container import SmartDependencyContainer
from dovetail.errors import AsyncDependency, DependencyNotFound, DependencyResolutionError

if TYPE_CHECKING:
    from decimal import Decimal


class Pool:
    pass


class Repo:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool


@pytest.fixture
def container() -> SmartDependencyContainer:
    """A container with a pool."""
    container = SmartDependencyContainer()
    container.register_factory(Pool, Pool)
    return container


def test_what_a_call_leaves_out_is_filled_in(container: SmartDependencyContainer) -> None:
    @container.inject
    def find(name: str, repo: Repo, *, pool: Pool) -> tuple[str, Repo, Pool]:
        """Find it."""
        return name, repo, pool

    name, repo, pool = find("ann")
    assert (name, repo.pool) == ("ann", pool)
    assert (find.__name__, find.__doc__) == ("find", "Find it.")


def test_what_a_call_gives_is_left_alone(container: SmartDependencyContainer) -> None:
    @container.inject
    def find(repo: Repo, /, pool: Pool, *more: Pool, other: Pool, **rest: Pool) -> Any:
        return repo, pool, more, other, rest

    repo, pool, extra = Repo(Pool()), Pool(), Pool()
    kept = container.resolve(Pool)
    assert find(repo, pool) == (repo, pool, (), kept, {})
    assert find(repo, pool, extra, other=extra, x=extra) == (
        repo,
        pool,
        (extra,),
        extra,
        {"x": extra},
    )
    assert find(repo, pool=pool)[1] is pool
    assert find()[0].pool is kept


def test_a_plain_value_is_never_filled_in(container: SmartDependencyContainer) -> None:
    @container.inject
    def find(pool: Pool, name: str, size: int, any_: Any, bare, items: list[str]) -> None:  # type: ignore[no-untyped-def]
        ...

    with pytest.raises(TypeError, match="missing 5 required positional arguments: 'name'"):
        find()


def test_a_default_gives_way_only_to_what_is_provided(container: SmartDependencyContainer) -> None:
    default = Repo(Pool())

    @container.inject
    def find(pool: Pool | None = None, repo: Repo | None = default, limit: int = 10) -> Any:
        return pool, repo, limit

    assert find() == (container.resolve(Pool), default, 10)
    container.register_factory(Repo, Repo)
    assert find() == (container.resolve(Pool), container.resolve(Repo), 10)


def test_an_optional_argument_is_none_if_nobody_provides_it(
    container: SmartDependencyContainer,
) -> None:
    @container.inject
    def find(pool: Pool | None, repo: Repo | None) -> Any:
        return pool, repo

    assert find() == (container.resolve(Pool), None)


def test_an_annotation_for_type_checkers_only_matters_if_the_call_leaves_it_out(
    container: SmartDependencyContainer,
) -> None:
    @container.inject
    def price(pool: Pool, amount: "Decimal") -> Any:
        return amount

    assert price(amount=3) == 3
    with pytest.raises(DependencyNotFound, match=r"`amount` .* outside `if TYPE_CHECKING:`"):
        price()


async def test_an_error_names_the_function_that_asked(container: SmartDependencyContainer) -> None:
    def broken() -> Pool:
        raise OSError("no pool")

    @container.inject
    def find(repo: Repo) -> None: ...

    @container.inject
    async def afind(repo: Repo) -> None: ...

    container.register_factory(Pool, broken)
    with pytest.raises(DependencyResolutionError, match=r"find\(\) → Repo → Pool"):
        find()
    with pytest.raises(DependencyResolutionError, match=r"afind\(\) → Repo → Pool"):
        await afind()


def test_the_context_is_the_one_given_or_the_current_one(
    container: SmartDependencyContainer,
) -> None:
    def who(context: ExecutionContext | None) -> str | None:
        return context.user_id if context is not None else None

    ann = ExecutionContext(user_id="ann")
    assert container.inject(who)() is None
    assert container.inject(who, ann)() == "ann"


async def test_each_call_has_its_own_current_context(container: SmartDependencyContainer) -> None:
    @container.inject
    async def who(context: ExecutionContext) -> str | None:
        await asyncio.sleep(0)
        return context.user_id

    async def call(name: str) -> str | None:
        async with container.scope(ExecutionContext(user_id=name)):
            return await who()

    assert await asyncio.gather(*map(call, ["ann", "bob"])) == ["ann", "bob"]


async def test_a_coroutine_function_has_what_must_be_awaited(
    container: SmartDependencyContainer,
) -> None:
    async def pool() -> Pool:
        await asyncio.sleep(0)
        return Pool()

    container.register_factory(Pool, pool, scope="transient")

    @container.inject
    async def find(first: Pool, /, repo: Repo, name: str) -> Any:
        return first, repo, name

    assert inspect.iscoroutinefunction(find)
    first, repo, name = await find(name="ann")
    assert isinstance(first, Pool)
    assert (type(repo), name) == (Repo, "ann")


def test_a_plain_function_has_not(container: SmartDependencyContainer) -> None:
    async def pool() -> Pool:
        return Pool()

    container.register_factory(Pool, pool)
    with pytest.raises(AsyncDependency, match="`Pool` is made by `pool`, which is asynchronous"):
        container.inject(Repo)()


def test_a_class_can_be_filled_too(container: SmartDependencyContainer) -> None:
    assert container.inject(Repo)().pool is container.resolve(Pool)


def test_a_generator_function_stays_one(container: SmartDependencyContainer) -> None:
    @container.inject
    def count(limit: int, pool: Pool) -> Iterator[Any]:
        sent = yield pool
        for number in range(limit):
            sent = yield (number, sent)

    assert inspect.isgeneratorfunction(count)
    assert list(count(2)) == [container.resolve(Pool), (0, None), (1, None)]
    generator: Any = count(2)
    next(generator)
    assert generator.send("hello") == (0, "hello")


async def test_an_asynchronous_generator_function_stays_one(
    container: SmartDependencyContainer,
) -> None:
    closed: list[str] = []

    @container.inject
    async def count(limit: int, pool: Pool) -> AsyncIterator[Any]:
        try:
            sent = yield pool
            for number in range(limit):
                try:
                    sent = yield (number, sent)
                except ValueError as error:
                    sent = str(error)
        finally:
            await asyncio.sleep(0)
            closed.append("yes")

    assert inspect.isasyncgenfunction(count)
    assert [item async for item in count(2)] == [container.resolve(Pool), (0, None), (1, None)]
    generator: Any = count(3)
    await anext(generator)
    assert await generator.asend("hello") == (0, "hello")
    assert await generator.athrow(ValueError("thrown")) == (1, "thrown")
    await generator.aclose()
    assert closed == ["yes", "yes"]


async def test_a_context_manager_of_an_injected_generator_sees_the_error(
    container: SmartDependencyContainer,
) -> None:
    seen: list[str] = []

    @contextmanager
    @container.inject
    def now(pool: Pool) -> Iterator[Pool]:
        try:
            yield pool
        except ValueError as error:
            seen.append(f"now {error}")

    @asynccontextmanager
    @container.inject
    async def later(pool: Pool) -> AsyncIterator[Pool]:
        try:
            yield pool
        except ValueError as error:
            seen.append(f"later {error}")

    def fail(pool: Pool, text: str) -> None:
        assert pool is container.resolve(Pool)
        raise ValueError(text)

    with now() as pool:
        fail(pool, "x")
    async with later() as pool:
        fail(pool, "y")
    assert seen == ["now x", "later y"]


def test_a_function_sees_what_is_registered_later(container: SmartDependencyContainer) -> None:
    @container.inject
    def find(pool: Pool) -> Pool:
        return pool

    assert find() is container.resolve(Pool)
    other = Pool()
    container.register_instance(Pool, other)
    assert find() is other
