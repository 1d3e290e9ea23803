"""Something else in place of a dependency, for a test."""

import pytest

from dovetail import ExecutionContext
from dovetail.container import SmartDependencyContainer
from dovetail.errors import DependencyNotFound


class Clock:
    pass


class Stopped(Clock):
    pass


class Pool:
    pass


class Service:
    def __init__(self, clock: Clock, pool: Pool) -> None:
        self.clock = clock
        self.pool = pool


class App:
    def __init__(self, service: Service) -> None:
        self.service = service


@pytest.fixture
def container() -> SmartDependencyContainer:
    """A container that keeps all of it."""
    container = SmartDependencyContainer()
    for cls in (Clock, Pool, Service, App):
        container.register_factory(cls, cls)
    return container


def test_what_depends_on_it_is_built_anew_and_only_that(
    container: SmartDependencyContainer,
) -> None:
    app = container.resolve(App)
    stopped = Stopped()
    with container.override(Clock, stopped):
        other = container.resolve(App)
        assert other.service.clock is stopped
        assert other.service.pool is app.service.pool
        assert container.resolve(App) is other
    assert container.resolve(App) is app
    with container.override(Clock, Stopped()):
        assert container.resolve(App) not in (app, other)


def test_overrides_can_be_nested(container: SmartDependencyContainer) -> None:
    outer, inner, pool = Stopped(), Stopped(), Pool()
    with container.override(Clock, outer):
        one = container.resolve(App)
        with container.override(Clock, inner), container.override(Pool, pool):
            service = container.resolve(App).service
            assert (service.clock, service.pool) == (inner, pool)
        assert container.resolve(App) is one
        assert container.resolve(Clock) is outer


def test_it_ends_with_an_error_too(container: SmartDependencyContainer) -> None:
    clock = container.resolve(Clock)
    with pytest.raises(ValueError, match="x"), container.override(Clock, Stopped()):
        raise ValueError("x")
    assert container.resolve(Clock) is clock


def test_a_factory_can_stand_for_it(container: SmartDependencyContainer) -> None:
    with container.override(Clock, factory=Stopped):
        stopped = container.resolve(Clock)
        assert container.resolve(Service).clock is stopped
    with container.override(Clock, factory=Stopped):
        assert container.resolve(Clock) is not stopped


def test_keys_and_what_is_not_registered_can_be_overridden() -> None:
    container = SmartDependencyContainer()
    with container.override("dsn", "memory"), container.override(Clock, factory=Stopped):
        assert container.get("dsn") == "memory"
        assert isinstance(container.resolve(Service).clock, Stopped)
    with pytest.raises(DependencyNotFound):
        container.get("dsn")
    assert type(container.resolve(Clock)) is Clock


async def test_what_belongs_to_a_context_is_built_anew_too(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory(Service, Service, scope="context")
    context = ExecutionContext()
    service = container.resolve(Service, context)
    with container.override(Clock, Stopped()):
        assert isinstance(container.resolve(Service, context).clock, Stopped)
    assert container.resolve(Service, context) is service


def test_an_injected_function_sees_it(container: SmartDependencyContainer) -> None:
    @container.inject
    def clock(clock: Clock) -> Clock:
        return clock

    stopped = Stopped()
    with container.override(Clock, stopped):
        assert clock() is stopped
    assert clock() is container.resolve(Clock)


async def test_what_was_built_meanwhile_is_cleaned_up_with_its_scope(
    container: SmartDependencyContainer,
) -> None:
    lines: list[str] = []

    def stopped():  # type: ignore[no-untyped-def]
        yield Stopped()
        lines.append("closed")

    with container.override(Clock, factory=stopped):
        assert isinstance(container.resolve(Clock), Stopped)
    assert lines == []
    await container.aclose()
    assert lines == ["closed"]
