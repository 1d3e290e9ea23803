"""Where one model cannot answer another is asked, in the order of the config."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dovetail import (
    Answer,
    AuthenticationError,
    ChatCall,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ConfigError,
    ContentFiltered,
    ContextTooLong,
    EmbeddingProvider,
    EmbeddingRequest,
    EmbeddingResponse,
    ExecutionContext,
    InvalidResponse,
    Kernel,
    Middleware,
    ModelNotFound,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from dovetail.testing import Gate, plugin_of
from plugins.resilience.tests.asking import Ask, Model, Open, chat, embed, stream
from plugins.resilience.tests.virtual_time import Clock

BOTH = ["backup/two", "third/three"]


def down() -> ProviderUnavailable:
    return ProviderUnavailable("it is down", status=503)


async def test_models_are_asked_in_order_each_with_attempts_of_its_own(
    running: Open, main: Model, backup: Model, third: Model, ask: Ask
) -> None:
    async with running(attempts=2, fallback=BOTH, embedding_fallback=BOTH) as kernel:
        main.will_fail(down(), down())
        backup.will_fail(down(), down())
        response = await ask(kernel)
    assert (main.asked, backup.asked, third.asked) == (2, 2, 1)
    assert response.provider == "third"


async def test_a_fallback_gets_its_model_and_the_same_request(
    running: Open, main: Model, backup: Model
) -> None:
    async with running(attempts=1, fallback=["backup/org/two:7b"]) as kernel:
        main.will_fail(down())
        await chat(kernel)
    (first,), (second,) = main.requests, backup.requests
    assert first.model == "one"
    assert second.model == "org/two:7b"
    assert second.messages == first.messages


async def test_a_fallback_without_a_model_gets_the_instances_own(
    running: Open, main: Model, backup: Model
) -> None:
    async with running(attempts=1, fallback=["backup"]) as kernel:
        main.will_fail(down())
        await chat(kernel)
    assert backup.requests[0].model == ""


async def test_nobody_else_is_asked_when_all_is_well(
    running: Open, main: Model, backup: Model, ask: Ask
) -> None:
    async with running(fallback=BOTH, embedding_fallback=BOTH) as kernel:
        await ask(kernel)
    assert (main.asked, backup.asked) == (1, 0)


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("the key was withdrawn", status=401),
        RateLimited("the quota is used up", status=429, may_retry=False),
        RateLimited("come back tomorrow", status=429, retry_after=80_000.0),
        InvalidResponse("what is this"),
        ProviderError("who knows"),
    ],
    ids=str,
)
async def test_what_cannot_pass_here_may_work_elsewhere_at_once(
    running: Open, main: Model, backup: Model, error: ProviderError
) -> None:
    async with running(fallback=BOTH) as kernel:
        clock = Clock()
        main.will_fail(error)
        response = await chat(kernel)
        assert clock.seconds == 0
    assert (main.asked, backup.asked, response.provider) == (1, 1, "backup")


@pytest.mark.parametrize("kind", [ContextTooLong, ContentFiltered, ModelNotFound])
async def test_a_request_that_is_wrong_is_not_sent_elsewhere(
    running: Open, main: Model, backup: Model, kind: type[ProviderError]
) -> None:
    async with running(fallback=BOTH) as kernel:
        main.will_fail(kind("not like this", status=400))
        with pytest.raises(kind, match="not like this"):
            await chat(kernel)
    assert (main.asked, backup.asked) == (1, 0)


async def test_nobody_else_is_asked_once_a_chunk_was_handed_on(
    running: Open, main: Model, backup: Model
) -> None:
    async with running(fallback=BOTH) as kernel:
        main.will_say(["One ", StreamInterrupted("it broke")])
        with pytest.raises(StreamInterrupted):
            await stream(kernel)
    assert backup.asked == 0


async def test_the_model_of_the_call_is_not_its_own_fallback(
    running: Open, main: Model, backup: Model, third: Model
) -> None:
    async with running(attempts=1, fallback=["main/one", *BOTH]) as kernel:
        backup.will_fail(down())
        main.will_fail(down())
        response = await chat(kernel, "backup/two")
    assert (main.asked, backup.asked, response.provider) == (1, 1, "third")


async def test_each_fallback_that_is_left_has_an_attempt_kept_for_it(
    running: Open, main: Model, backup: Model, third: Model
) -> None:
    async with running(attempts=9, total_attempts=5, fallback=BOTH) as kernel:
        for model in (main, backup, third):
            model.will_say(*[down() for _ in range(9)])
        with pytest.raises(ProviderUnavailable):
            await chat(kernel)
    assert (main.asked, backup.asked, third.asked) == (3, 1, 1)


async def test_no_more_models_are_asked_than_there_are_attempts(
    running: Open, main: Model, backup: Model, third: Model
) -> None:
    async with running(total_attempts=2, fallback=BOTH) as kernel:
        for model in (main, backup, third):
            model.will_say(*[down() for _ in range(9)])
        with pytest.raises(ProviderUnavailable, match="total_attempts"):
            await chat(kernel)
    assert (main.asked, backup.asked, third.asked) == (1, 1, 0)


async def test_after_the_budget_nobody_else_is_asked(
    running: Open, main: Model, backup: Model
) -> None:
    async with running(budget=10, fallback=BOTH) as kernel:
        main.will_say(Gate())
        with pytest.raises(ProviderError, match="budget"):
            await chat(kernel)
    assert backup.asked == 0


async def test_the_last_error_is_raised_and_leads_to_all_before_it(
    running: Open, main: Model, backup: Model, third: Model
) -> None:
    wire = OSError("reset by peer")
    last = RateLimited("slow down", status=429, retry_after=500.0)
    last.__cause__ = wire
    first, second = down(), InvalidResponse("what is this")
    async with running(attempts=1, fallback=BOTH) as kernel:
        main.will_say(first)
        backup.will_say(second)
        third.will_say(last)
        with pytest.raises(RateLimited) as caught:
            await chat(kernel)
    error = caught.value
    assert error is last
    assert str(error) == (
        "third: slow down; gave up, since its `attempts` are used up, after asking `main/one` "
        "once, `backup/two` once, `third/three` once"
    )
    assert (error.details.status, error.details.retry_after) == (429, 500.0)
    assert error.__cause__ is wire
    assert wire.__context__ is second
    assert second.__context__ is first


async def test_an_error_that_is_raised_again_and_again_makes_no_circle(
    running: Open, main: Model, backup: Model
) -> None:
    error = down()
    async with running(attempts=3, fallback=["backup"]) as kernel:
        main.will_say(*[error] * 3)
        backup.will_say(*[error] * 3)
        with pytest.raises(ProviderUnavailable):
            await chat(kernel)
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None:
        assert not any(at is other for other in seen)
        seen.append(at)
        at = at.__cause__ or at.__context__


async def test_embeddings_have_fallbacks_of_their_own(
    running: Open, main: Model, backup: Model
) -> None:
    async with running(attempts=1, fallback=["backup/two"]) as kernel:
        main.will_fail(down())
        with pytest.raises(ProviderUnavailable):
            await embed(kernel)
    assert backup.asked == 0


async def test_a_fallback_that_is_nowhere_in_the_config_is_refused_at_the_start(
    running: Open,
) -> None:
    with pytest.raises(ConfigError, match=r"no provider instance `bakcup`(.|\n)*`backup`"):
        async with running(fallback=["bakcup/two"]):
            pass


class Embedder(EmbeddingProvider):
    """It has vectors, and no answers."""

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        raise AssertionError("nobody asks it")


async def test_a_fallback_that_cannot_chat_is_refused_at_the_start() -> None:
    import dovetail_resilience
    from dovetail import Kernel

    config = {
        "providers": {"embedder": {}},
        "middleware": [{"use": "resilience", "fallback": ["embedder"]}],
    }
    kernel = Kernel.open(config, env={}).register("embedder", plugin_of(Embedder))
    with pytest.raises(ConfigError, match="`embedder` is no ChatProvider"):
        await kernel.register("resilience", dovetail_resilience).start()


class Meddling(Middleware):
    """Changes the call that it is given."""

    async def chat(
        self, call: ChatCall, call_next: Callable[[ChatCall], Awaitable[Answer]]
    ) -> Answer:
        call.request = call.request.model_copy(update={"model": call.request.model + "!"})
        return await call_next(call)


async def test_what_an_inner_middleware_does_to_one_attempt_is_not_done_to_the_next(
    running: Open, main: Model, backup: Model
) -> None:
    async with running(Meddling, attempts=2, fallback=["backup/two"]) as kernel:
        main.will_say(down(), down())
        await chat(kernel)
    assert [request.model for request in main.requests] == ["one!", "one!"]
    assert [request.model for request in backup.requests] == ["two!"]


async def test_a_cancel_asks_nobody_else(running: Open, main: Model, backup: Model) -> None:
    gate = Gate()
    async with running(fallback=BOTH) as kernel:
        main.will_say(gate)
        async with kernel.stream("Hello") as answer:
            await gate.reached()
            answer.run.cancel()
            await asyncio.wait_for(answer.run.wait(), 5)
    assert backup.asked == 0


async def test_an_optional_fallback_that_is_out_of_order_is_passed_over() -> None:
    class Away(Model):
        async def start(self) -> None:
            message = "its server is away"
            raise RuntimeError(message)

    class Down(ChatProvider):
        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            raise down()

    config = {
        "chat": {"model": "first/one"},
        "providers": {
            "first": {"use": "first"},
            "away": {"use": "away", "optional": True},
            "third": {"use": "third"},
        },
        "middleware": [
            {"use": "resilience", "attempts": 1, "fallback": ["away/two", "third/three"]}
        ],
    }
    kernel = Kernel.open(config, env={})
    for plugin_id, model in (("first", Down), ("away", Away), ("third", Model)):
        kernel.register(plugin_id, plugin_of(model))
    async with kernel:
        assert (await kernel.chat("x")).provider == "third"
