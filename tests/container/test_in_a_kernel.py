"""What a kernel has in its container, and how long it lasts there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from dovetail import (
    ChatMessage,
    ChatProvider,
    ChatRequest,
    DependencyProvider,
    DependencyResolutionError,
    EmbeddingProvider,
    EmbeddingRequest,
    EmbeddingResponse,
    EventDispatcher,
    EventProvider,
    ExecutionContext,
    Kernel,
    Middleware,
    Named,
    ServiceRegistry,
    Session,
    SessionManager,
    StreamingChunk,
    Tagged,
    TurnCall,
)
from tests.support.kernels import kernel_of, plugin_of
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from dovetail import Answer, ChatCall


class One(ChatProvider):
    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        yield StreamingChunk(text=f"{self.instance}/{request.model}")


class Two(One):
    pass


class Embeds(EmbeddingProvider):
    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        return EmbeddingResponse(embeddings=tuple((1.0,) for _ in request.input))

    async def token_counter(self, model: str = "") -> Callable[[str], int] | None:
        return len if model == "letters" else None


ASKED = ChatRequest(messages=(ChatMessage.user("hi"),))


async def test_its_parts_are_there() -> None:
    async with kernel_of(One) as kernel:
        assert kernel.container.resolve(Kernel) is kernel
        assert kernel.container.resolve(SessionManager) is kernel.sessions
        assert kernel.container.resolve(ServiceRegistry) is kernel.services


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        (ChatProvider, "one/m"),
        (Annotated[ChatProvider, Named("two")], "two/"),
        (Annotated[ChatProvider, Named("two/big")], "two/big"),
        (Annotated[ChatProvider, Tagged("fast")], "two/"),
    ],
    ids=["default", "instance", "model", "tag"],
)
async def test_models_are_had_by_name_or_tag(wanted: Any, answer: str) -> None:
    tags = {"two": {"tags": ["fast", "local"]}}
    async with kernel_of(One, Two, providers=tags, chat={"model": "one/m"}) as kernel:
        model = kernel.container.resolve(wanted)
        assert (await model.send_message(ASKED)).text == answer
        assert [c.text async for c in model.send_message_stream(ASKED)] == [answer]


async def test_an_embedding_model_is_had_too() -> None:
    async with kernel_of(One, Embeds) as kernel:
        model = kernel.container.resolve(EmbeddingProvider)
        assert (await model.embed(EmbeddingRequest(input=("a",)))).embeddings == ((1.0,),)
        assert await model.token_counter() is None
        letters = kernel.container.resolve(Annotated[EmbeddingProvider, Named("embeds/letters")])
        assert await letters.token_counter() is len


async def test_a_name_or_tag_that_nothing_has_is_refused() -> None:
    async with kernel_of(One) as kernel:
        for wanted, words in (
            (Named("tow"), "there is no provider instance `tow`"),
            (Tagged("fast"), "no ChatProvider in the config has the tag `fast`"),
        ):
            with pytest.raises(DependencyResolutionError, match=words):
                kernel.container.resolve(Annotated[ChatProvider, wanted])


async def test_calls_of_such_a_model_pass_the_middleware() -> None:
    class Counts(Middleware):
        async def chat(
            self, call: ChatCall, call_next: Callable[[ChatCall], Awaitable[Answer]]
        ) -> Answer:
            seen.append(call.provider)
            return await call_next(call)

    seen: list[str] = []
    async with kernel_of(One, Counts) as kernel:
        model = kernel.container.resolve(ChatProvider)
        await model.send_message(ASKED, ExecutionContext())
    assert seen == ["one"]


class Turns(Middleware):
    """Does in a turn what a test says."""

    async def turn(
        self, call: TurnCall, call_next: Callable[[TurnCall], Awaitable[Answer]]
    ) -> Answer:
        await work(call)
        return await call_next(call)


async def work(call: TurnCall) -> None:
    """Set by a test."""


async def test_a_turn_has_its_own_session(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Session, Session | None]] = []

    async def look(call: TurnCall) -> None:
        seen.append((kernel.container.resolve(Session), call.session))

    monkeypatch.setitem(globals(), "work", look)
    async with kernel_of(One, Turns) as kernel:
        await kernel.chat("hi", session="a")
        await kernel.chat("hi", session="b")
        assert [found.session_id for found, _ in seen] == ["a", "b"]
        assert all(found is own for found, own in seen)
        with pytest.raises(DependencyResolutionError, match="belongs to no turn"):
            kernel.container.resolve(Session)
        with pytest.raises(DependencyResolutionError, match="belongs to no turn"):
            await kernel.chat("hi")


async def test_what_is_built_for_a_turn_is_cleaned_up_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Transaction:
        pass

    life: list[str] = []

    async def open_transaction(context: ExecutionContext) -> AsyncIterator[Transaction]:
        life.append(f"open for {context.user_id}")
        yield Transaction()
        life.append("closed")

    async def use(call: TurnCall) -> None:
        first = await kernel.container.aresolve(Transaction)
        assert await kernel.container.aresolve(Transaction) is first
        assert life[-1] == f"open for {call.context.user_id}"

    monkeypatch.setitem(globals(), "work", use)
    kernel = kernel_of(One, Turns)
    kernel.container.register_factory(Transaction, open_transaction)
    async with kernel:
        for user in ("ann", "bob"):
            await kernel.chat("hi", user=user)
    assert life == ["open for ann", "closed", "open for bob", "closed"]


async def test_the_scope_of_a_hosts_own_context_is_the_hosts_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    life: list[str] = []

    def make(context: ExecutionContext) -> Any:
        life.append("open")
        yield object()
        life.append("closed")

    async def use(call: TurnCall) -> None:
        await kernel.container.aget("thing")

    monkeypatch.setitem(globals(), "work", use)
    kernel = kernel_of(One, Turns)
    kernel.container.register_factory("thing", make)
    async with kernel:
        async with kernel.container.scope() as context:
            await kernel.chat("hi", context=context)
            await kernel.chat("hi", context=context)
            assert life == ["open"]
        assert life == ["open", "closed"]


async def test_a_plugins_provider_chooses_by_context() -> None:
    class Database:
        def __init__(self, tenant: str) -> None:
            self.tenant = tenant

    class Tenants(DependencyProvider):
        def can_provide(self, dependency_type: Any, context: ExecutionContext | None) -> bool:
            return dependency_type is Database and context is not None

        async def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Database:
            assert context is not None
            return Database(context.properties["tenant"])

    async with kernel_of(One, Tenants) as kernel:
        for tenant in ("a", "b"):
            context = ExecutionContext(properties={"tenant": tenant})
            assert (await kernel.container.aresolve(Database, context)).tenant == tenant


async def test_what_is_kept_with_the_kernel_is_cleaned_up_when_it_closes() -> None:
    life: list[str] = []

    async def pool() -> AsyncIterator[str]:
        life.append("open")
        yield "pool"
        life.append("closed")

    kernel = kernel_of(One)
    kernel.container.register_factory("pool", pool)
    async with kernel:
        assert await kernel.container.aget("pool") == "pool"
    assert life == ["open", "closed"]


async def test_what_a_turn_does_not_have_may_be_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Session | None] = []

    def look(session: Session | None = None) -> None:
        seen.append(session)

    async def use(call: TurnCall) -> None:
        kernel.container.inject(look)()

    monkeypatch.setitem(globals(), "work", use)
    async with kernel_of(One, Turns) as kernel:
        await kernel.chat("hi")
        await kernel.chat("hi", session="s")
    assert seen[0] is None
    assert seen[1] is not None


async def test_who_keeps_the_dispatcher_tells_the_providers_of_the_config_in_effect() -> None:
    class Hears(EventProvider):
        events = ("rang",)

        async def handle_event(self, event: str, data: Any) -> None:
            heard.append((self.instance, data))

    heard: list[tuple[str, int]] = []
    providers: dict[str, Any] = {"first": {"use": "test"}}
    kernel = Kernel.open({"providers": providers}, env={}, discover_installed=False)
    async with kernel.register("test", plugin_of(Hears)):
        events = kernel.container.resolve(EventDispatcher)
        assert (events.wants("rang"), events.wants("fell")) == (True, False)
        await events.dispatch("rang", 1)
        del providers["first"]
        providers["second"] = {"use": "test"}
        await kernel.reload()
        await events.dispatch("rang", 2)
        assert [item.name for item in events.registry.registrations()] == ["second"]
    assert heard == [("first", 1), ("second", 2)]


async def test_a_call_outside_of_any_turn_ends_on_the_instance_it_began_with() -> None:
    class Slow(One):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            asked.set()
            await reloaded.wait()
            yield StreamingChunk(text=f"stopped: {self.instance in stopped}")

        async def stop(self) -> None:
            stopped.append(self.instance)

    asked, reloaded = asyncio.Event(), asyncio.Event()
    stopped: list[str] = []
    providers: dict[str, Any] = {"one": {"use": "test"}}
    kernel = Kernel.open({"providers": providers}, env={}, discover_installed=False)
    async with kernel.register("test", plugin_of(Slow)):
        model: Any = kernel.container.resolve(ChatProvider)
        call = asyncio.create_task(model.send_message(ASKED))
        await asked.wait()
        del providers["one"]
        providers["two"] = {"use": "test"}
        await kernel.reload()
        reloaded.set()
        assert (await call).text == "stopped: False"
        await eventually(lambda: stopped == ["one"])


async def test_the_session_of_a_turn_is_not_had_for_another_user() -> None:
    class Asks(One):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            own = kernel.container.resolve(Session, context.create_child_context())
            yield StreamingChunk(text=own.user_id or "")
            with pytest.raises(DependencyResolutionError):
                kernel.container.resolve(Session, context.create_child_context(user_id="eve"))

    async with kernel_of(Asks) as kernel:
        assert (await kernel.chat("hi", session="s", user="ann")).text == "ann"
