"""Starting: what needs something starts after it; what fails is told with all that is known."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import anyio
import pytest
from structlog.testing import capture_logs

from dovetail import ConfigError, EmbeddingProvider, FailureStage, KernelClosed
from tests.host.lives import Lively, noting
from tests.support.plugins import Echo, kernel_with, only_failure, plugin, refusal


async def test_what_is_needed_starts_first_and_stops_last() -> None:
    events: list[str] = []
    config = {
        "providers": {
            "roof": {"use": "p", "needs": ["walls"]},
            "walls": {"use": "p", "needs": ["ground/deep"]},
            "ground": {"use": "p"},
        }
    }
    async with kernel_with(config, p=plugin(providers=[noting(events)])):
        assert events == ["start ground", "start walls", "start roof"]
    assert events[3:] == ["stop roof", "stop walls", "stop ground"]


async def test_a_reference_gives_the_component_from_start_on() -> None:
    found: list[object] = []

    class Asking(Lively):
        events: list[str] = []

        async def start(self) -> None:
            found.extend(ref.target for ref in self.settings.needs)

    config = {"providers": {"asks": {"use": "p", "needs": ["echo"]}, "echo": {}}}
    kernel = kernel_with(config, p=plugin(providers=[Asking]), echo=plugin(providers=[Echo]))
    async with kernel:
        assert found == [kernel.generation.providers["echo"]]


async def test_components_that_do_not_need_each_other_start_together() -> None:
    both = asyncio.Barrier(2)

    class Meeting(Echo):
        async def start(self) -> None:
            async with asyncio.timeout(5):
                await both.wait()

    config = {"providers": {"a": {"use": "p"}, "b": {"use": "p"}}}
    async with kernel_with(config, p=plugin(providers=[Meeting])) as kernel:
        assert len(kernel.generation.instances) == 3


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"a": {"needs": ["eccho"]}}, r"no provider instance `eccho`\s+→ did you mean `echo`\?"),
        ({"a": {"needs": ["zzz"]}}, r"no provider instance `zzz`\s+→ the instances are: a, echo"),
        ({"a": {"needs": ["vectors"]}, "vectors": {}}, r"`vectors` is no ChatProvider"),
        ({"a": {"needs": ["a"]}}, r"need each other: `a` → `a`"),
        (
            {"a": {"needs": ["b"]}, "b": {"use": "p", "needs": ["a"]}},
            r"need each other: (`a` → `b` → `a`|`b` → `a` → `b`)",
        ),
    ],
)
async def test_a_reference_that_cannot_be_met_is_a_mistake_in_the_config(
    tables: dict[str, dict[str, object]], said: str
) -> None:
    class Vectors(EmbeddingProvider):
        async def embed(self, request: object, context: object) -> object:  # type: ignore[override]
            raise AssertionError

    events: list[str] = []
    tables = {**tables, "a": {"use": "p", **tables["a"]}, "echo": {}}
    error = await refusal(
        kernel_with(
            {"providers": tables},
            p=plugin(providers=[noting(events)]),
            echo=plugin(providers=[Echo]),
            vectors=plugin(providers=[Vectors]),
        )
    )
    assert isinstance(error, ConfigError)
    assert re.search(said, str(error)), error
    assert "[providers" in error.problems[0].where
    assert events == []


async def test_a_start_that_raises_is_told_and_stopped_and_so_is_what_had_started() -> None:
    events: list[str] = []

    class Failing(Lively):
        async def start(self) -> None:
            await super().start()
            message = "no room"
            raise OSError(message)

    Failing.events = events
    config = {"providers": {"good": {"use": "p"}, "bad": {"use": "f", "needs": ["good"]}}}
    kernel = kernel_with(
        config, p=plugin(providers=[noting(events)]), f=plugin(providers=[Failing])
    )
    failure = await only_failure(kernel)
    assert failure.stage is FailureStage.START
    assert (failure.plugin_id, failure.version) == ("f", "1.0")
    assert failure.component == "config mapping [providers.bad]"
    assert isinstance(failure.cause, OSError)
    assert "no room" in str(failure)
    assert "dovetail plugins show f" in failure.hint
    assert events == ["start good", "start bad", "stop bad", "stop good"]


async def test_start_and_stop_run_in_one_task() -> None:
    tasks: list[object] = []

    class Grouped(Echo):
        async def start(self) -> None:
            tasks.append(asyncio.current_task())
            self.group = anyio.create_task_group()
            await self.group.__aenter__()
            self.group.start_soon(anyio.sleep_forever)
            if self.instance == "bad":
                raise OSError

        async def stop(self) -> None:
            tasks.append(asyncio.current_task())
            self.group.cancel_scope.cancel()
            await self.group.__aexit__(None, None, None)

    for name in ("good", "bad"):
        tasks.clear()
        kernel = kernel_with({"providers": {name: {"use": "p"}}}, p=plugin(providers=[Grouped]))
        if name == "good":
            async with kernel:
                pass
            assert await kernel.close() == []
        else:
            assert isinstance((await only_failure(kernel)).cause, OSError)
        started, stopped = tasks
        assert started is stopped
        assert started is not asyncio.current_task()


async def test_a_start_that_hangs_ends_at_its_limit_and_is_stopped() -> None:
    events: list[str] = []

    class Hanging(Lively):
        async def start(self) -> None:
            await super().start()
            await asyncio.Event().wait()

    Hanging.events = events
    config = {"kernel": {"start_timeout": 0.05}, "providers": {"p": {}}}
    failure = await only_failure(kernel_with(config, p=plugin(providers=[Hanging])))
    assert "`start()` took longer than 0.05 s" in str(failure)
    assert events == ["start p", "stop p"]


async def test_a_start_that_swallows_its_cancellation_fails_and_is_stopped_all_the_same() -> None:
    events: list[str] = []

    class Stubborn(Lively):
        async def start(self) -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            events.append("went on")

    Stubborn.events = events
    config = {"kernel": {"start_timeout": 0.05}, "providers": {"p": {}}}
    failure = await only_failure(kernel_with(config, p=plugin(providers=[Stubborn])))
    assert "took longer" in str(failure)
    assert events == ["went on", "stop p"]


async def test_a_start_that_does_not_end_at_all_is_left_behind_and_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dovetail.host.lifecycle.ABANDON_SECONDS", 0.05)
    gate = asyncio.Event()

    class Endless(Echo):
        async def start(self) -> None:
            while not gate.is_set():
                with suppress(asyncio.CancelledError):
                    await gate.wait()

    before = asyncio.all_tasks()
    config = {"kernel": {"start_timeout": 0.05, "stop_timeout": 0.05}, "providers": {"p": {}}}
    with capture_logs() as logs:
        failure = await only_failure(kernel_with(config, p=plugin(providers=[Endless])))
    assert "`start()` took longer than 0.05 s" in str(failure)
    assert any("a component of `p` does not stop" in line["event"] for line in logs)
    gate.set()
    await asyncio.wait(asyncio.all_tasks() - before)


async def test_when_start_and_stop_both_fail_the_start_is_told_and_the_stop_is_logged() -> None:
    class Failing(Echo):
        async def start(self) -> None:
            message = "no room"
            raise OSError(message)

        async def stop(self) -> None:
            message = "never opened"
            raise ValueError(message)

    with capture_logs() as logs:
        failure = await only_failure(
            kernel_with({"providers": {"p": {}}}, p=plugin(providers=[Failing]))
        )
    assert "no room" in str(failure)
    assert any(
        line["event"].startswith("a component failed to stop: plugin `p`, config mapping")
        and "never opened" in line["event"]
        for line in logs
    )


async def test_a_kernel_that_is_still_starting_says_so() -> None:
    class Eager(Echo):
        async def start(self) -> None:
            await kernel.chat("hello")

    kernel = kernel_with({"providers": {"p": {}}}, p=plugin(providers=[Eager]))
    failure = await only_failure(kernel)
    assert isinstance(failure.cause, KernelClosed)
    assert "still starting" in str(failure)


@pytest.mark.parametrize("raised", [ValueError("bad luck"), SystemExit("bad luck")])
async def test_a_constructor_that_raises_is_a_failure_like_any_other(raised: BaseException) -> None:
    class Fragile(Echo):
        def __init__(self) -> None:
            raise raised

    failure = await only_failure(
        kernel_with({"providers": {"p": {}}}, p=plugin(providers=[Fragile]))
    )
    assert failure.stage is FailureStage.START
    assert type(raised).__name__ in str(failure)


async def test_all_components_that_fail_are_told_at_once() -> None:
    class Failing(Echo):
        async def start(self) -> None:
            raise OSError(self.instance)

    config = {"providers": {name: {"use": "p"} for name in ("x", "y")}}
    error = await refusal(kernel_with(config, p=plugin(providers=[Failing])))
    assert [str(failure.cause) for failure in error.failures] == ["x", "y"]
