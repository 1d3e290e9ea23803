"""Plugins that do what they must not, and values that are none."""

from __future__ import annotations

import asyncio
import pickle
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import Field, SecretStr, ValidationError

from dovetail import (
    Answer,
    ChatCall,
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    EmbeddingResponse,
    ExecutionContext,
    InvalidRequest,
    InvalidResponse,
    MemorySessionStore,
    Middleware,
    PluginError,
    ProviderError,
    ProviderUnavailable,
    SessionError,
    Settings,
    StreamingChunk,
)
from tests.support.kernels import kernel_of
from tests.support.models import Echo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from dovetail import Session

    ChatNext = Callable[[ChatCall], Awaitable[Answer]]


@pytest.mark.parametrize("text", [5, b"bytes", None.__class__])
async def test_chunks_that_hold_no_text_are_the_providers_error(text: Any) -> None:
    class Odd(ChatProvider):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            yield StreamingChunk(text=text)

    async with kernel_of(Odd) as kernel:
        with pytest.raises(InvalidResponse, match="odd: its chunks hold what they must not"):
            await kernel.chat("x", session="s")
        with pytest.raises(InvalidResponse):
            async with kernel.stream("x", session="s") as stream:
                async for _ in stream:
                    pass


@pytest.mark.parametrize("given", [None, {"message": "x"}, "text"])
async def test_a_whole_answer_of_another_kind_is_the_providers_error(given: Any) -> None:
    class Odd(ChatProvider):
        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            return given  # type: ignore[no-any-return]

    async with kernel_of(Odd) as kernel:
        for _ in range(2):
            with pytest.raises(ProviderError):
                await kernel.chat("x", session="s")


async def test_a_stream_that_cannot_be_made_is_the_providers_error() -> None:
    class Raises(ChatProvider):
        def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            message = "no socket"
            raise OSError(message)

    class Listed(ChatProvider):
        def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            return [StreamingChunk(text="x")]  # type: ignore[return-value]

    async with kernel_of(Raises, Listed) as kernel:
        with pytest.raises(ProviderError, match="raises: it failed with OSError: no socket"):
            await kernel.chat("x")
        with pytest.raises(ProviderError, match="listed: it failed with TypeError"):
            await kernel.chat("x", model="listed")


async def test_a_middleware_that_forgets_to_return_is_named() -> None:
    class Forgets(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:  # type: ignore[return]
            await call_next(call)

    async with kernel_of(Echo, Forgets) as kernel:
        for _ in range(2):
            with pytest.raises(PluginError, match=r"`chat` returned NoneType \(one of `Forgets`"):
                await kernel.chat("x", session="s")


async def test_a_middlewares_own_mistake_is_a_plugin_error_with_its_cause() -> None:
    class Breaks(Middleware):
        async def before_turn(self, call: object) -> None:
            message = "missing"
            raise KeyError(message)

    class Quits(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            raise asyncio.CancelledError

    async with kernel_of(Echo, Breaks) as kernel:
        with pytest.raises(PluginError, match="KeyError") as caught:
            await kernel.chat("x")
        assert isinstance(caught.value.__cause__, KeyError)
    async with kernel_of(Echo, Quits) as kernel:
        with pytest.raises(PluginError, match="nobody asked"):
            await kernel.chat("x")


@pytest.mark.parametrize("method", ["load", "acquire_lease", "append"])
@pytest.mark.parametrize("error", [OSError("away"), asyncio.CancelledError()])
async def test_a_store_that_fails_does_not_keep_the_session(
    method: str, error: BaseException
) -> None:
    class Away(MemorySessionStore):
        leases = True
        failing = True

        async def load(self, session_id: str, last: int | None = None) -> Session | None:
            if method == "load" and self.failing:
                raise error
            return await super().load(session_id, last)

        async def append(self, session: Session, messages: Sequence[ChatMessage]) -> None:
            if method == "append" and self.failing:
                raise error
            await super().append(session, messages)

        async def acquire_lease(self, session_id: str, owner: str, seconds: float) -> bool:
            if method == "acquire_lease" and self.failing:
                raise error
            return True

        async def release_lease(self, session_id: str, owner: str) -> None:
            if self.failing:
                raise error

    async with kernel_of(Echo, Away) as kernel:
        with pytest.raises((SessionError, PluginError)):
            await kernel.chat("x", session="s")
        store = kernel.sessions.store
        assert isinstance(store, Away)
        store.failing = False
        assert (await kernel.chat("y", session="s")).text == "y "


@pytest.mark.parametrize("name", ["", 5, ["s"], "x" * 513])
async def test_odd_names_of_sessions_and_users_are_refused(name: Any) -> None:
    async with kernel_of(Echo) as kernel:
        with pytest.raises(InvalidRequest, match="session"):
            await kernel.chat("x", session=name)
        with pytest.raises(InvalidRequest, match="user"):
            await kernel.chat("x", session="s", user=name)


class KeyedSettings(Settings):
    """One secret."""

    token: SecretStr = Field(description="A key.")


class Keyed(ChatProvider):
    """Tells its secret in every error."""

    settings: KeyedSettings

    async def send_message(self, request: ChatRequest, context: ExecutionContext) -> ChatResponse:
        told = f"refused {self.settings.token.get_secret_value()}"
        if request.messages[-1].text == "plain":
            raise OSError(1, told)
        raise ProviderUnavailable(told)


async def test_a_secret_of_the_config_does_not_come_out_of_a_providers_error() -> None:
    secret = "Zq9-plain-77"

    async with kernel_of(Keyed, providers={"keyed": {"token": secret}}) as kernel:
        for prompt in ("plain", "ours"):
            with pytest.raises(ProviderError) as caught:
                await kernel.chat(prompt)
            error: BaseException | None = caught.value
            while error is not None:
                assert secret not in f"{error} {error!r}"
                error = error.__cause__


async def test_what_a_host_is_given_cannot_be_changed_under_others() -> None:
    async with kernel_of(Echo) as kernel:
        question = ChatMessage(role="user", content="x", metadata={"a": [1, {"b": 2}]})  # type: ignore[arg-type]
        await kernel.chat(question, session="s")
        found = await kernel.sessions.get_session("s")
        assert found is not None
        metadata = found.history[0].metadata
        with pytest.raises(TypeError, match="immutable"):
            metadata["a"] = 0
        with pytest.raises(TypeError, match="immutable"):
            metadata["a"].append(0)
        with pytest.raises(TypeError, match="immutable"):
            metadata["a"][1]["b"] = 0
        again = pickle.loads(pickle.dumps(deepcopy(metadata)))
        assert again == metadata == {"a": [1, {"b": 2}]}


@pytest.mark.parametrize("value", [float("nan"), b"x", {1, 2}, {1: 2}, object()])
def test_what_json_does_not_have_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        ChatMessage(role="user", metadata={"a": value})  # type: ignore[arg-type]


def test_half_a_surrogate_pair_is_refused_and_two_halves_are_joined() -> None:
    with pytest.raises(ValidationError, match="unicode"):
        ChatMessage.user("\ud83d")
    with pytest.raises(ValidationError):
        EmbeddingResponse(embeddings=((float("inf"),),))


async def test_a_pair_that_a_provider_splits_between_chunks_is_whole_again() -> None:
    class Splits(ChatProvider):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            for half in ("\ud83d", "\ude00", " \ud83d"):
                yield StreamingChunk(text=half)

    async with kernel_of(Splits) as kernel:
        assert (await kernel.chat("x")).text == "😀 �"
