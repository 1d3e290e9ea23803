"""What is marked optional may fail: the rest works, and says what is out of order and why."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from dovetail import (
    FailureStage,
    Kernel,
    Middleware,
    ModelNotFound,
    NotReady,
)
from tests.host.lives import Lively
from tests.support.plugins import Echo, kernel_with, only_failure, plugin, refusal
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.distributions import Distributions


class Failing(Lively):
    async def start(self) -> None:
        message = "no room"
        raise OSError(message)

    async def stop(self) -> None: ...


STAGES: dict[FailureStage, dict[str, object]] = {
    FailureStage.DISCOVER: {"use": "absent"},
    FailureStage.IMPORT: {"use": "broken"},
    FailureStage.REGISTER: {"use": "misspelt"},
    FailureStage.VALIDATE: {"use": "failing", "mrak": "?"},
    FailureStage.START: {"use": "failing"},
}


@pytest.mark.parametrize("stage", STAGES)
async def test_an_optional_component_may_fail_at_any_stage(
    installed: Distributions, stage: FailureStage
) -> None:
    installed.add("broken", "raise RuntimeError('broken')")
    config = {"providers": {"good": {}, "bad": {**STAGES[stage], "optional": True}}}
    kernel = Kernel.open(config, env={})
    kernel.register("good", plugin(providers=[Echo]))
    kernel.register("misspelt", plugin(provider=[Echo]))
    kernel.register("failing", plugin(providers=[Failing]))
    with capture_logs() as logs:
        await kernel.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(kernel.close)
        assert (await kernel.chat("hello")).text == "hello"
        (failure,) = kernel.quarantined
        assert failure.stage is stage
        assert "[providers.bad]" in failure.component
        (line,) = [line for line in logs if line["log_level"] == "warning"]
        assert line["event"] == f"an optional component is out of order: {failure}"
        with pytest.raises(ModelNotFound, match="`bad` is out of order") as caught:
            await kernel.chat("hello", model="bad/model")
        assert str(failure.cause) in str(caught.value)


async def test_what_needs_a_failed_component_fails_with_it_and_names_it() -> None:
    config: dict[str, Any] = {
        "providers": {
            "good": {"use": "echo"},
            "bad": {"use": "failing", "optional": True},
            "roof": {"use": "lively", "needs": ["bad"], "optional": True},
            "top": {"use": "lively", "needs": ["roof"], "optional": True},
        }
    }

    def kernel() -> Kernel:
        return kernel_with(
            config,
            echo=plugin(providers=[Echo]),
            failing=plugin(providers=[Failing]),
            lively=plugin(providers=[Lively]),
        )

    async with kernel() as opened:
        said = {f.component.partition(" [")[2]: str(f) for f in opened.quarantined}
        assert set(said) == {"providers.bad]", "providers.roof]", "providers.top]"}
        assert "it needs `bad`, which did not start" in said["providers.roof]"]
        assert "it needs `roof`, which did not start" in said["providers.top]"]
    del config["providers"]["top"]["optional"]
    *causes, failure = (await refusal(kernel())).failures
    assert "it needs `roof`" in str(failure)
    assert "[providers.top]" in failure.component
    assert [f.component.partition(" [")[2] for f in causes] == ["providers.bad]", "providers.roof]"]


async def test_an_optional_component_that_names_what_is_not_there_is_left_out() -> None:
    config = {
        "providers": {"good": {}, "lost": {"use": "l", "needs": ["god"], "optional": True}},
    }
    kernel = kernel_with(config, good=plugin(providers=[Echo]), l=plugin(providers=[Lively]))
    async with kernel:
        (failure,) = kernel.quarantined
        assert failure.stage is FailureStage.VALIDATE
        assert "did you mean `good`?" in str(failure)


async def test_the_session_store_cannot_be_optional() -> None:
    error = await refusal(kernel_with({"sessions": {"optional": True}}))
    assert "the session store cannot be optional" in str(error)


class Tardy:
    """Says that it is not ready until it is let in."""

    def __init__(self) -> None:
        self.ready = False
        self.tried = asyncio.Condition()
        self.tries = 0

    async def try_once(self) -> None:
        async with self.tried:
            self.tries += 1
            self.tried.notify_all()
        if not self.ready:
            message = "the server is down"
            raise NotReady(message)

    async def wait_for_tries(self, count: int) -> None:
        async with asyncio.timeout(5), self.tried:
            await self.tried.wait_for(lambda: self.tries >= count)


async def test_what_is_not_ready_is_tried_again_and_taken_in_when_it_is() -> None:
    tardy = Tardy()

    class Late(Echo):
        async def start(self) -> None:
            await tardy.try_once()

    config = {
        "kernel": {"retry_interval": 0.005},
        "chat": {"model": "late"},
        "providers": {"late": {"optional": True}},
    }
    async with kernel_with(config, late=plugin(providers=[Late])) as kernel:
        assert "tried again" in kernel.quarantined[0].hint
        with pytest.raises(ModelNotFound, match="the server is down"):
            await kernel.chat("hello")
        await tardy.wait_for_tries(3)
        assert len(kernel.quarantined) == 1
        tardy.ready = True
        await eventually(lambda: not kernel.quarantined)
        assert (await kernel.chat("hello")).text == "hello"
        tries = tardy.tries
        await kernel.reload()
        assert tardy.tries == tries


async def test_late_middleware_takes_its_place_in_the_operators_order() -> None:
    tardy = Tardy()
    asked: list[str] = []

    class Noting(Middleware):
        async def before_chat(self, call: object) -> None:
            asked.append(self.instance)

    class Late(Noting):
        async def start(self) -> None:
            await tardy.try_once()

    config = {
        "kernel": {"retry_interval": 0.005},
        "providers": {"echo": {}},
        "middleware": [{"use": "a"}, {"use": "late", "optional": True}, {"use": "b"}],
    }
    noting = plugin(middleware=[Noting])
    kernel = kernel_with(
        config,
        echo=plugin(providers=[Echo]),
        a=noting,
        b=plugin(middleware=[Noting]),
        late=plugin(middleware=[Late]),
    )
    async with kernel:
        await kernel.chat("hello")
        tardy.ready = True
        await eventually(lambda: not kernel.quarantined)
        await kernel.chat("hello")
    assert asked == ["a", "b", "a", "late", "b"]


async def test_what_is_not_ready_brings_along_what_needs_it() -> None:
    tardy = Tardy()

    class Late(Echo):
        async def start(self) -> None:
            await tardy.try_once()

    config = {
        "kernel": {"retry_interval": 0.005},
        "providers": {
            "late": {"optional": True},
            "roof": {"use": "lively", "needs": ["late"], "optional": True},
        },
    }
    lively = type("Roof", (Lively,), {"events": []})
    kernel = kernel_with(config, late=plugin(providers=[Late]), lively=plugin(providers=[lively]))
    async with kernel:
        assert len(kernel.quarantined) == 2
        tardy.ready = True
        await eventually(lambda: not kernel.quarantined)
        roof = kernel.generation.providers["roof"]
        assert isinstance(roof, Lively)
        assert roof.settings.needs[0].target is kernel.generation.providers["late"]


async def test_what_fails_for_another_reason_is_not_tried_again() -> None:
    tardy = Tardy()

    class Late(Echo):
        async def start(self) -> None:
            if tardy.tries:
                message = "wrong password"
                raise PermissionError(message)
            await tardy.try_once()

    config = {"kernel": {"retry_interval": 0.005}, "providers": {"late": {"optional": True}}}
    async with kernel_with(config, late=plugin(providers=[Late])) as kernel:
        await eventually(lambda: "wrong password" in str(kernel.quarantined[0]))
        assert "tried again" not in kernel.quarantined[0].hint


async def test_what_must_work_and_is_not_ready_fails_the_start() -> None:
    class Late(Echo):
        async def start(self) -> None:
            message = "the server is down"
            raise NotReady(message)

    failure = await only_failure(
        kernel_with({"providers": {"late": {}}}, late=plugin(providers=[Late]))
    )
    assert "the server is down" in str(failure)
    assert "optional = true" in failure.hint


async def test_a_kernel_that_closes_stops_trying() -> None:
    tardy = Tardy()

    class Late(Echo):
        async def start(self) -> None:
            await tardy.try_once()

    before = asyncio.all_tasks()
    config = {"kernel": {"retry_interval": 0.005}, "providers": {"late": {"optional": True}}}
    async with kernel_with(config, late=plugin(providers=[Late])):
        await tardy.wait_for_tries(2)
    assert asyncio.all_tasks() == before
