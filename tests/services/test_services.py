"""Services that adapt to the context they work in, alone and in a kernel."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from pydantic import Field

from dovetail import (
    ConfigError,
    ContextAwareService,
    DuplicateService,
    EventBus,
    ExecutionContext,
    Kernel,
    ServiceError,
    ServiceFactory,
    ServiceNotFound,
    ServiceRegistry,
    Settings,
    SmartDependencyContainer,
)
from tests.support.kernels import kernel_of, plugin_of
from tests.support.models import Echo


class Clock:
    """Something a service needs."""


class Greeter(ContextAwareService):
    """Greets the context's user."""

    name = "greeter"

    def __init__(self, dependency_container: SmartDependencyContainer | None = None) -> None:
        super().__init__(dependency_container)
        self.opened: list[str] = []
        self.greeting = ""

    async def start(self) -> None:
        self.opened.append("open")

    async def initialize(self, context: ExecutionContext) -> None:
        await asyncio.sleep(0)
        self.greeting = f"Hello {context.user_id}"


@pytest.fixture
def ann() -> ExecutionContext:
    return ExecutionContext(user_id="ann")


async def test_a_copy_works_in_its_context_and_the_service_stays_as_it_is(
    ann: ExecutionContext,
) -> None:
    service = Greeter()
    await service.start()
    for_ann = await service.with_context(ann)
    for_bob = await service.with_context(ExecutionContext(user_id="bob"))
    assert (for_ann.greeting, for_bob.greeting, service.greeting) == ("Hello ann", "Hello bob", "")
    assert for_ann.context is ann
    assert for_ann.opened is service.opened
    with pytest.raises(ServiceError, match="the service `greeter` has no context here"):
        _ = service.context


async def test_functions_get_what_they_lack_for_the_copys_context(ann: ExecutionContext) -> None:
    container = SmartDependencyContainer()
    clock = Clock()
    container.register_instance(Clock, clock)
    service = Greeter(container)

    async def work(clock: Clock, context: ExecutionContext, times: int = 1) -> tuple[Any, ...]:
        return clock, context, times

    for_ann = await service.with_context(ann)
    assert await for_ann.inject(work)(times=3) == (clock, ann, 3)
    with pytest.raises(ServiceError, match="has no context here"):
        service.inject(work)


async def test_a_factory_makes_one_copy_for_a_context_however_many_ask(
    ann: ExecutionContext,
) -> None:
    registry = ServiceRegistry()
    registry.register("greeter", Greeter())
    factory = ServiceFactory(registry)
    copies = await asyncio.gather(*(factory.get("greeter", ann) for _ in range(100)))
    assert len({id(copy) for copy in copies}) == 1
    other = await factory.get("greeter", ExecutionContext(user_id="bob"))
    assert other is not copies[0]
    assert other.greeting == "Hello bob"


async def test_a_copy_is_gone_with_its_context() -> None:
    registry = ServiceRegistry()
    registry.register("greeter", Greeter())
    factory = ServiceFactory(registry)
    context = ExecutionContext()
    seen = weakref.ref(await factory.get("greeter", context))
    assert seen() is not None
    del context
    await asyncio.sleep(0)
    gc.collect()
    assert seen() is None


async def test_a_copy_that_could_not_be_made_is_tried_again(ann: ExecutionContext) -> None:
    class Flaky(Greeter):
        tries: list[int] = []

        async def initialize(self, context: ExecutionContext) -> None:
            self.tries.append(1)
            if len(self.tries) == 1:
                raise ConnectionError("not now")

    registry = ServiceRegistry()
    registry.register("greeter", Flaky())
    factory = ServiceFactory(registry)
    with pytest.raises(ConnectionError):
        await factory.get("greeter", ann)
    assert (await factory.get("greeter", ann)).context is ann


async def test_another_service_answers_where_the_context_says_so(ann: ExecutionContext) -> None:
    registry = ServiceRegistry()
    plain = object()
    registry.register("greeter", plain)
    factory = ServiceFactory(registry)
    factory.choose("greeter", Greeter(), when=lambda context: context.has_tag("warm"))
    warm = ExecutionContext(user_id="bob", tags=["warm"])
    assert await factory.get("greeter", ann) is plain
    assert (await factory.get("greeter", warm)).greeting == "Hello bob"
    with pytest.raises(ServiceNotFound):
        await factory.get("other", ann)


class KeptSettings(Settings):
    greeting: str = Field(default="hi", description="What it says.")


class Kept(ContextAwareService):
    """A service of a plugin, with settings."""

    name = "memory_service"
    settings: KeptSettings
    life: list[str] = []

    async def start(self) -> None:
        self.life.append(f"start {self.settings.greeting}")

    async def stop(self) -> None:
        self.life.append("stop")


@pytest.fixture(autouse=True)
def _new_life() -> None:
    Kept.life.clear()


async def test_the_services_of_a_plugin_are_there_once_the_config_names_it() -> None:
    async with kernel_of(Echo, Kept, plugins={"test": {"greeting": "ahoy"}}) as kernel:
        service = kernel.services.get("memory_service")
        assert isinstance(service, Kept)
        assert service.dependency_container is kernel.container
        context = ExecutionContext(user_id="ann")
        assert (await kernel.service_factory.get("memory_service", context)).context is context
        assert Kept.life == ["start ahoy"]
    assert Kept.life == ["start ahoy", "stop"]


async def test_a_mistake_in_a_services_settings_is_told_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"\[plugins.test\] greting"):
        await kernel_of(Echo, Kept, plugins={"test": {"greting": "ahoy"}}).start()


async def test_a_reload_exchanges_services_and_leaves_the_hosts_own() -> None:
    config: dict[str, Any] = {"providers": {"echo": {"use": "test:echo"}}}
    kernel = Kernel.open(config, env={}, discover_installed=False)
    kernel.services.register("own", 1)
    async with kernel.register("test", plugin_of(Echo, Kept)):
        first = kernel.services.get("memory_service")
        config["plugins"] = {"test": {"greeting": "new"}}
        await kernel.reload()
        assert kernel.services.get("memory_service") is not first
        assert kernel.services.get("own") == 1


async def test_two_plugins_with_one_service_are_told_of_both() -> None:
    config: dict[str, Any] = {"plugins": {"a": {}, "b": {}}}
    kernel = Kernel.open(config, env={}, discover_installed=False)
    kernel.register("a", plugin_of(Kept)).register("b", plugin_of(Kept))
    with pytest.raises(ConfigError, match="`a` and `b` both bring a service `memory_service`"):
        await kernel.start()


async def test_a_service_that_the_host_has_already_is_refused() -> None:
    kernel = kernel_of(Echo, Kept)
    kernel.services.register("memory_service", 1)
    with pytest.raises(DuplicateService, match="`memory_service`"):
        await kernel.start()
    assert Kept.life == ["start hi", "stop"]


async def test_a_reload_that_brings_a_name_which_the_host_has_changes_nothing() -> None:
    config: dict[str, Any] = {"providers": {"echo": {"use": "a:echo"}}}
    kernel = Kernel.open(config, env={}, discover_installed=False)
    kernel.register("a", plugin_of(Echo)).register("b", plugin_of(Kept))
    async with kernel:
        kernel.services.register("memory_service", 1)
        before = kernel.generation
        config["plugins"] = {"b": {}}
        with pytest.raises(DuplicateService, match="`memory_service`"):
            await kernel.reload()
        assert kernel.generation is before
        assert kernel.services.get("memory_service") == 1
        assert (await kernel.chat("hi")).text == "hi "


async def test_a_service_can_subscribe_to_the_bus_as_it_starts() -> None:
    class Listens(ContextAwareService):
        async def start(self) -> None:
            bus = self.dependency_container.resolve(EventBus)
            await bus.subscribe("orders", self._heard, group="listens")

        async def _heard(self, event: object) -> None:
            heard.set()

    heard = asyncio.Event()
    async with kernel_of(Echo, Listens) as kernel:
        await kernel.bus.publish("orders", {"n": 1})
        async with asyncio.timeout(5):
            await heard.wait()
