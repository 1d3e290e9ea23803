"""What a hook may not offer is refused before anything is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dovetail import (
    ChatProvider,
    EmbeddingProvider,
    FailureStage,
    Middleware,
    SessionStore,
    StreamingChunk,
)
from dovetail.chat.providers import Provider
from tests.support.plugins import Echo, kernel_with, only_failure, plugin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dovetail import Answer, ChatRequest, ChatResponse, ExecutionContext

    Next = Callable[[Any], Awaitable[Answer]]


NAMING: dict[str, dict[str, object]] = {
    "providers": {"providers": {"p": {}}},
    "middleware": {"middleware": [{"use": "p"}]},
    "session_stores": {"sessions": {"use": "p"}},
}


async def message_about(offered: object, hook: str = "providers") -> str:
    failure = await only_failure(kernel_with(NAMING[hook], p=plugin(**{hook: [offered]})))
    assert failure.stage is FailureStage.REGISTER
    assert f"`{hook}`" in failure.hint
    return str(failure.cause)


async def test_an_instance_is_no_class() -> None:
    assert "returns classes, not instances" in await message_about(Echo())


@pytest.mark.parametrize("hook", ["middleware", "session_stores"])
async def test_a_class_of_another_kind_is_named_with_what_is_wanted(hook: str) -> None:
    said = await message_about(Echo, hook)
    assert f"`{hook}` returned `Echo`" in said
    assert {"middleware": "no `Middleware`", "session_stores": "no `SessionStore`"}[hook] in said


async def test_a_class_that_lacks_a_method_is_told_which() -> None:
    class Half(SessionStore):
        async def cleanup_expired(self) -> int:
            return 0

    said = await message_about(Half, "session_stores")
    assert "`Half` does not override append, delete, list_sessions, load, set, touch" in said


async def test_an_embedding_provider_must_embed() -> None:
    class Nothing(EmbeddingProvider):
        pass

    assert "`Nothing` does not override embed" in await message_about(Nothing)


async def test_a_chat_provider_must_answer_one_way_or_the_other() -> None:
    class Silent(ChatProvider):
        pass

    said = await message_about(Silent)
    assert "`Silent` overrides neither `send_message_stream` nor `send_message`" in said


async def test_a_provider_must_be_for_chat_or_for_embeddings() -> None:
    class Neither(Provider):
        pass

    assert (
        "no `ChatProvider`, no `EmbeddingProvider` and no `EventProvider`"
        in await message_about(Neither)
    )


async def test_a_stream_must_be_a_generator() -> None:
    class Wrong(ChatProvider):
        async def send_message_stream(  # type: ignore[override]
            self, request: ChatRequest, context: ExecutionContext
        ) -> list[StreamingChunk]:
            return [StreamingChunk(text="all at once")]

    said = await message_about(Wrong)
    assert "`Wrong.send_message_stream` is a coroutine" in said
    assert "`yield`" in said


class WrapsTools(Middleware):
    async def tool(self, call: object, call_next: Next) -> Answer:
        return await call_next(call)


class Misspells(Middleware):
    async def chatt(self, call: object, call_next: Next) -> Answer:
        return await call_next(call)


class BeforeOther(Middleware):
    async def chat(self, call: object, call_next: Next) -> Answer:
        return await call_next(call)

    async def before_tool(self, call: object) -> None: ...


@pytest.mark.parametrize(
    ("offered", "method"),
    [(WrapsTools, "tool"), (Misspells, "chatt"), (BeforeOther, "before_tool")],
)
async def test_middleware_around_what_the_kernel_does_not_call_says_what_it_calls(
    offered: type[Middleware], method: str
) -> None:
    said = await message_about(offered, "middleware")
    assert f"`{offered.__name__}.{method}`" in said
    assert "turn, chat, embed" in said


async def test_middleware_that_overrides_nothing_would_do_nothing() -> None:
    class Idle(Middleware):
        def help(self) -> None: ...

    said = await message_about(Idle, "middleware")
    assert "`Idle` overrides no operation" in said
    assert "pre_execute" in said


async def test_middleware_may_have_helpers_of_its_own() -> None:
    class Shouting(Middleware):
        async def after_chat(self, call: object, response: ChatResponse) -> ChatResponse:
            return self._shout(response)

        def _shout(self, response: ChatResponse) -> ChatResponse:
            message = response.message.model_copy(update={"content": response.text.upper()})
            return response.model_copy(update={"message": message})

    config = {"providers": {"p": {}}, "middleware": [{"use": "p"}]}
    made = plugin(providers=[Echo], middleware=[Shouting])
    async with kernel_with(config, p=made) as kernel:
        assert (await kernel.chat("hello")).text == "HELLO"
