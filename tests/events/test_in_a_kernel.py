"""The kernel's own events, and what it does with event providers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from dovetail import (
    BusEvent,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ConfigError,
    EmbeddingProvider,
    EmbeddingRequest,
    EmbeddingResponse,
    EventBus,
    EventCall,
    EventProvider,
    EventSettings,
    ExecutionContext,
    Kernel,
    KernelClosed,
    Middleware,
    NotReady,
    ProviderUnavailable,
    SessionBusy,
    SessionManager,
    StreamingChunk,
    Usage,
)
from dovetail.chat.messages import ChatMessage
from dovetail.events.catalogue import KINDS
from tests.support.kernels import kernel_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

Told = tuple[str, Any]
told: list[Told] = []


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    told.clear()


class Listens(EventProvider):
    events = ("*",)

    async def handle_event(self, event: str, data: Any) -> None:
        told.append((event, data))


class Queues(EventProvider):
    settings: EventSettings
    events = ("agent_*",)
    delivery = "queued"

    async def handle_event(self, event: str, data: Any) -> None:
        await asyncio.sleep(0.01)
        told.append((event, data))


class Talks(ChatProvider):
    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        text = request.messages[-1].text
        if text == "fail":
            raise ProviderUnavailable("no answer")
        yield StreamingChunk(text="one ")
        if text == "wait":
            await asyncio.Event().wait()
        yield StreamingChunk(text="two", usage=Usage(prompt_tokens=3, completion_tokens=2))


class Embeds(EmbeddingProvider):
    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        return EmbeddingResponse(embeddings=tuple((1.0,) for _ in request.input))


def of(name: str) -> list[Any]:
    return [data for event, data in told if event == name]


def kernel(*more: type[Any], **tables: Any) -> Kernel:
    return kernel_of(Talks, Listens, *more, **tables)


def documented(name: str) -> set[str]:
    return set(next(kind for kind in KINDS if kind.name == name).fields)


async def test_every_turn_tells_of_its_start_and_its_end() -> None:
    async with kernel() as opened:
        reply = await opened.chat("hello", session="s", user="ann")
    [start], [end] = of("agent_start"), of("agent_complete")
    assert start["input"] == end["input"] == "hello"
    assert (end["output"], end["provider"], end["finish_reason"]) == ("one two", "talks", "stop")
    assert end["usage"] == {"prompt_tokens": 3, "completion_tokens": 2}
    assert (end["session_id"], end["user_id"], end["agent_id"]) == ("s", "ann", None)
    assert start["run_id"] == end["run_id"]
    assert reply.request_id == end["request_id"]
    assert 0 < end["first_chunk_seconds"] <= end["seconds"]
    assert end["error"] is None
    assert start.keys() == documented("agent_start")
    assert end.keys() == documented("agent_complete")


async def test_a_turn_that_fails_tells_of_that() -> None:
    async with kernel() as opened:
        with pytest.raises(ProviderUnavailable):
            await opened.chat("fail")
    [end] = of("agent_complete")
    assert (end["error"], end["finish_reason"]) == ("ProviderUnavailable", "error")
    assert "no answer" in end["error_message"]
    assert end["first_chunk_seconds"] is None


async def test_a_turn_that_is_stopped_tells_what_had_come() -> None:
    async with kernel() as opened, opened.stream("wait", session="s") as stream:
        await anext(aiter(stream))
    [end] = of("agent_complete")
    assert (end["output"], end["finish_reason"], end["error"]) == (
        "one ",
        "cancelled",
        "CancelledError",
    )


async def test_it_is_told_when_the_turn_has_been_kept() -> None:
    kept: list[int] = []

    class Looks(EventProvider):
        events = ("agent_complete",)

        async def handle_event(self, event: str, data: Any) -> None:
            session = await opened.sessions.get_session(data["session_id"])
            kept.append(session.message_count if session else 0)

    async with kernel(Looks) as opened:
        await opened.chat("hello", session="s")
    assert kept == [2]


async def test_each_call_of_a_model_is_told() -> None:
    async with kernel(Embeds) as opened:
        await opened.chat("hello")
        with pytest.raises(ProviderUnavailable):
            await opened.chat("fail")
        await opened.embed(["a", "b"], model="embeds/m")
    answered, failed, embedded = of("model_complete")
    assert (answered["operation"], answered["provider"], answered["error"]) == (
        "chat",
        "talks",
        None,
    )
    assert answered["usage"] == {"prompt_tokens": 3, "completion_tokens": 2}
    assert (failed["error"], failed["finish_reason"]) == ("ProviderUnavailable", "error")
    assert (embedded["operation"], embedded["model"]) == ("embed", "m")
    for data in (answered, failed, embedded):
        assert data.keys() == documented("model_complete")


async def test_sessions_tell_of_their_life() -> None:
    tables = {"lifetime": "10ms", "max_waiting": 0}
    async with kernel(sessions=tables) as opened:
        await opened.chat("hello", session="s", user="ann")
        made = await opened.sessions.create_session("bob")
        await opened.sessions.delete_session(made.session_id, user_id="bob")
        await asyncio.sleep(0.02)
        await opened.sessions.cleanup(force=True)
        async with opened.stream("wait", session="t") as stream:
            await anext(aiter(stream))
            with pytest.raises(SessionBusy):
                await opened.chat("too", session="t", context=ExecutionContext())
    assert of("session_created")[0] == {"session_id": "s", "user_id": "ann"}
    assert of("session_deleted") == [{"session_id": made.session_id, "user_id": "bob"}]
    assert of("session_expired") == [{"count": 1}]
    assert of("session_busy")[0].keys() == documented("session_busy")


async def test_what_is_kept_while_the_kernel_closes_is_told_of() -> None:
    async with kernel() as opened:
        began = asyncio.Event()

        async def ask() -> ChatResponse:
            async with opened.stream("wait", session="s") as stream:
                await anext(aiter(stream))
                began.set()
                await asyncio.Event().wait()
                return stream.response

        asking = asyncio.create_task(ask())
        await began.wait()
        with capture_logs() as logs:
            await opened.close()
        asking.cancel()
        await asyncio.wait([asking])
    assert of("session_created") == [{"session_id": "s", "user_id": None}]
    assert logs == []


async def test_who_hangs_over_a_new_session_keeps_no_turn_from_it() -> None:
    class Hangs(EventProvider):
        events = ("session_created",)

        async def handle_event(self, event: str, data: Any) -> None:
            hangs.set()
            await asyncio.Event().wait()

    hangs = asyncio.Event()
    async with kernel(Hangs, kernel={"commit_timeout": "50ms"}) as opened:
        first = asyncio.create_task(opened.chat("hello", session="s"))
        await hangs.wait()
        assert (await opened.chat("hello again", session="s")).text == "one two"
        assert (await first).text == "one two"
        session = await opened.sessions.get_session("s")
    assert session is not None
    assert session.message_count == 4


async def test_components_tell_that_they_have_started() -> None:
    async with kernel():
        assert {data["table"] for data in of("plugin_started")} == {
            "[providers.talks]",
            "[providers.listens]",
            "[sessions]",
        }
        assert all(data.keys() == documented("plugin_started") for data in of("plugin_started"))


async def test_an_optional_component_that_fails_is_told_of() -> None:
    class Late(ChatProvider):
        async def start(self) -> None:
            raise NotReady("the server is asleep")

        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            return ChatResponse(message=ChatMessage.assistant("hi"))

    async with kernel(Late, providers={"late": {"optional": True}}):
        [failed] = of("plugin_failed")
    assert failed.keys() == documented("plugin_failed")
    assert (failed["stage"], failed["error"]) == ("start", "NotReady")
    assert "the server is asleep" in failed["error_message"]


async def test_a_reload_tells_what_it_did() -> None:
    config: dict[str, Any] = {
        "chat": {"model": "talks"},
        "providers": {"talks": {"use": "test:talks"}, "listens": {"use": "test:listens"}},
    }
    from tests.support.kernels import plugin_of

    opened = Kernel.open(config, env={}, discover_installed=False)
    async with opened.register("test", plugin_of(Talks, Listens, Embeds)):
        config["providers"]["embeds"] = {"use": "test:embeds"}
        await opened.reload()
        del config["providers"]["embeds"]
        await opened.reload()
        for _ in range(10):
            await asyncio.sleep(0)
    first, second = of("config_reloaded")
    assert first["started"] == second["stopped"] == ("[providers.embeds]",)
    assert first.keys() == documented("config_reloaded")
    assert [data["table"] for data in of("plugin_stopped")] == ["[providers.embeds]"]


async def test_a_host_may_publish_events_of_its_own() -> None:
    async with kernel() as opened:
        await opened.publish("order_placed", {"id": 7})
    assert of("order_placed") == [{"id": 7}]


async def test_what_waits_in_a_queue_is_delivered_before_its_provider_stops() -> None:
    async with kernel_of(Talks, Queues) as opened:
        for _ in range(3):
            await opened.chat("hello")
        assert len(told) < 6
    assert [name for name, _ in told] == ["agent_start", "agent_complete"] * 3


async def test_an_operator_may_choose_how_events_are_delivered() -> None:
    table = {"queues": {"delivery": "inline"}}
    async with kernel_of(Talks, Queues, providers=table) as opened:
        await opened.chat("hello")
        assert len(told) == 2


async def test_a_queue_outlasts_a_reload() -> None:
    config: dict[str, Any] = {
        "chat": {"model": "talks"},
        "providers": {"talks": {"use": "test:talks"}, "queues": {"use": "test:queues"}},
    }
    from tests.support.kernels import plugin_of

    opened = Kernel.open(config, env={}, discover_installed=False)
    async with opened.register("test", plugin_of(Talks, Queues)):
        for _ in range(3):
            await opened.chat("hello")
            await opened.reload()
    assert [name for name, _ in told] == ["agent_start", "agent_complete"] * 3


async def test_a_provider_that_raises_or_hangs_harms_no_turn() -> None:
    class Raises(EventProvider):
        events = ("agent_start",)

        async def handle_event(self, event: str, data: Any) -> None:
            raise RuntimeError("broken")

    class Hangs(EventProvider):
        events = ("agent_complete",)
        handler_timeout = 0.05

        async def handle_event(self, event: str, data: Any) -> None:
            await asyncio.Event().wait()

    async with kernel(Raises, Hangs) as opened:
        assert (await opened.chat("hello")).text == "one two"
    failed = of("event_failed")
    assert [(data["provider"], data["error"]) for data in failed] == [
        ("raises", "RuntimeError"),
        ("hangs", "TimeoutError"),
    ]


async def test_middleware_wraps_each_delivery() -> None:
    class Watches(Middleware):
        async def event(
            self, call: EventCall, call_next: Callable[[EventCall], Awaitable[None]]
        ) -> None:
            seen.append((call.event.name, call.provider, call.context))
            if call.event.name != "agent_start":
                await call_next(call)

    seen: list[tuple[str, str, ExecutionContext | None]] = []
    async with kernel(Watches) as opened:
        await opened.chat("hello", user="ann")
    assert of("agent_start") == []
    assert len(of("agent_complete")) == 1
    names = {name: context for name, _, context in seen}
    context = names["agent_complete"]
    assert context is not None
    assert context.user_id == "ann"


async def test_simple_middleware_sees_deliveries_before_and_after() -> None:
    class Notes(Middleware):
        async def before_event(self, call: EventCall) -> None:
            seen.append(f"before {call.event.name}")

        async def after_event(self, call: EventCall, result: None) -> None:
            seen.append(f"after {call.event.name}")

    seen: list[str] = []
    async with kernel(Notes) as opened:
        await opened.publish("ping")
    assert seen[-2:] == ["before ping", "after ping"]


async def test_a_kernel_has_a_bus_that_the_config_sets() -> None:
    seen: list[Any] = []

    async def handle(event: BusEvent) -> None:
        seen.append((event.attempt, event.data["n"]))
        raise RuntimeError("not this one")

    table = {"attempts": 2, "first_wait": "1ms"}
    async with kernel(bus=table) as opened:
        bus = opened.bus
        assert opened.container.resolve(EventBus) is bus
        await bus.subscribe("numbers", handle, group="g")
        await bus.publish("numbers", {"n": 7})
    assert seen == [(1, 7), (2, 7)]
    with pytest.raises(KernelClosed):
        _ = opened.bus


async def test_a_mistake_in_the_bus_table_is_told_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"\[bus\] atempts"):
        await kernel(bus={"atempts": 2}).start()


async def test_who_is_told_as_the_kernel_closes_can_still_use_it() -> None:
    class Embedding(EventProvider):
        events = ("agent_complete",)
        delivery = "queued"

        async def handle_event(self, event: str, data: Any) -> None:
            await asyncio.sleep(0.01)
            model = opened.container.resolve(EmbeddingProvider)
            answer = await model.embed(EmbeddingRequest(input=("a",)), ExecutionContext())
            session = await opened.container.resolve(SessionManager).store.load("s")
            told.append((event, (answer.embeddings, session is not None)))

    opened = kernel_of(Talks, Embeds, Embedding)
    async with opened:
        await opened.chat("hello", session="s")
    assert told == [("agent_complete", (((1.0,),), True))]
    with pytest.raises(KernelClosed):
        await opened.chat("again")
    with pytest.raises(KernelClosed):
        _ = opened.generation
