"""Every fault in the chain that hosts have: the right error, no more on the wire than helps.

Each is met by both transports, and with the middleware `resilience` in between. Nothing is left of
it, no answer looks complete that is not, and the key is said nowhere.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import FinishReason, Kernel, ProviderError, ProviderUnavailable
from dovetail.testing import Upstream, refused_url
from dovetail.testing.leaks import Census, within
from plugins.openai.tests.conftest import CHAT
from plugins.openai.tests.faults import (
    GOOD,
    HARMLESS,
    KEY,
    NEVER_BEGAN,
    STREAMED,
    WHOLE,
    WHOLES,
    Fault,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from dovetail.testing import ScriptedReply

ATTEMPTS = 3
PATIENT = {"connect": 20, "first_byte": 20, "between": 20}
CHAINS = {"aiohttp": 1, "httpx": 1, "resilience": ATTEMPTS}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A server whose connections, and whatever else the test opens, are gone at its end."""
    before = Census.take()
    async with Upstream() as running:
        yield running
    found = await before.settled()
    # The loop keeps the threads in which it looked up names.
    assert [what for what in found if not what.endswith("threads")] == []


@pytest.fixture(params=CHAINS)
def chain(request: pytest.FixtureRequest) -> str:
    """What is between the host and the server."""
    return str(request.param)


def opened(url: str, chain: str, http: Mapping[str, Any] | None = None) -> Kernel:
    transport = "aiohttp" if chain == "resilience" else chain
    table = {
        "base_url": f"{url}/v1",
        "api_key": KEY,
        "http": {**PATIENT, **(http or {}), "transport": transport},
    }
    resilience = {"use": "resilience", "attempts": ATTEMPTS, "first_wait": 0.01}
    config = {
        "chat": {"model": "openai/scripted"},
        "providers": {"openai": table},
        "middleware": [resilience] if chain == "resilience" else [],
    }
    return Kernel.open(config, env={})


async def ask(kernel: Kernel, *, stream: bool) -> tuple[str, int]:
    """What a reader has seen: text, and how many pieces of tool calls; an error has it in notes."""
    if not stream:
        response = await kernel.chat("Hello")
        return response.text, len(response.message.tool_calls)
    text, calls = "", 0
    try:
        async with kernel.stream("Hello") as answer:
            async for chunk in answer:
                text += chunk.text
                calls += len(chunk.tool_calls)
    except ProviderError as error:
        error.add_note(f"seen: {text!r}, {calls}")
        raise
    return text, calls


async def meet(fault: Fault, chain: str, upstream: Upstream, *, stream: bool) -> None:
    """See that it ends, in the right error, after as many attempts as may help."""
    upstream.reply(CHAT, fault.reply)
    async with opened(upstream.url, chain, fault.http) as kernel:
        async with within(20, "it ends"):
            with pytest.raises(ProviderError, match=fault.says) as caught:
                await ask(kernel, stream=stream)
        check(caught.value, fault, stream=stream)
    seen = stream and bool(fault.text or fault.calls)
    attempts = CHAINS[chain] if fault.may_retry and not seen else 1
    if fault.reply.at_accept:
        assert (upstream.connections, len(upstream.requests)) == (attempts, 0)
    else:
        sent = [request for request in upstream.requests if request.path.endswith(CHAT)]
        assert len(sent) == attempts
    async with within(5, "the connections are closed"):
        for request in upstream.requests:
            if not request.answered.is_set():
                await request.disconnected.wait()


def check(error: ProviderError, fault: Fault, *, stream: bool) -> None:
    """It is the right one, tells what had come as no more than it is, and nothing of the key."""
    assert type(error) is fault.error
    assert error.details.may_retry == fault.may_retry
    assert error.details.provider == "openai"
    seen = f"seen: {fault.text!r}, {int(fault.calls)}"
    assert getattr(error, "__notes__", []) == ([seen] if stream else [])
    assert error.response is not None
    assert error.response.finish_reason is FinishReason.ERROR
    assert (error.response.text, error.response.message.tool_calls) == (fault.text, ())
    shown = "".join(traceback.format_exception(error))
    told = f"{shown} {error.details} {error.metadata} {error.response.model_dump_json()}"
    assert KEY[:6] not in told


def cases(*tables: Mapping[str, Fault]) -> pytest.MarkDecorator:
    made = [pytest.param(f, id=name) for table in tables for name, f in table.items()]
    return pytest.mark.parametrize("fault", made)


@cases(NEVER_BEGAN, STREAMED)
async def test_a_stream_ends_in_the_right_error_after_no_more_than_helps(
    fault: Fault, chain: str, upstream: Upstream
) -> None:
    await meet(fault, chain, upstream, stream=True)


@cases(NEVER_BEGAN, WHOLES)
async def test_a_request_for_a_whole_answer_does_too(
    fault: Fault, chain: str, upstream: Upstream
) -> None:
    await meet(fault, chain, upstream, stream=False)


@cases({name: f for name, f in (NEVER_BEGAN | STREAMED).items() if f.may_retry and not f.text})
async def test_what_passes_was_no_fault_to_who_tries_again(
    fault: Fault, upstream: Upstream
) -> None:
    upstream.reply(CHAT, fault.reply, GOOD)
    async with opened(upstream.url, "resilience", fault.http) as kernel, within(20, "it ends"):
        assert await ask(kernel, stream=True) == ("Hello there friend", 0)


@pytest.mark.parametrize("reply", HARMLESS.values(), ids=HARMLESS.keys())
async def test_what_is_only_odd_is_a_whole_answer_to_one_request(
    reply: ScriptedReply, chain: str, upstream: Upstream
) -> None:
    upstream.reply(CHAT, reply, GOOD)
    async with opened(upstream.url, chain) as kernel, within(20, "it ends"):
        for _ in range(2):
            async with kernel.stream("Hello") as answer:
                text = "".join([chunk.text async for chunk in answer])
            assert text == answer.response.text == "Hello there friend"
            assert answer.response.finish_reason is FinishReason.STOP
            assert answer.response.usage is not None
            assert answer.response.usage.prompt_tokens == 5
    # The one that met the closed connection was sent anew.
    assert len(upstream.requests) == 2 + reply.then_dies


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_server_that_is_down_is_named(chain: str, upstream: Upstream, stream: bool) -> None:
    upstream.script(WHOLE)
    async with opened(refused_url(), chain) as kernel, within(20, "it ends"):
        with pytest.raises(ProviderUnavailable, match=r"nothing listens at http://127\.0\.0\.1:1"):
            await ask(kernel, stream=stream)
    assert upstream.connections == 0
