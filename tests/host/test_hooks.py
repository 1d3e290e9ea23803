"""Hooks are what `hookspecs.py` says; everything else is an error that says so."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import FailureStage, hookimpl
from tests.support.plugins import Echo, kernel_with, only_failure, plugin, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dovetail import Failure

ONE: dict[str, object] = {"providers": {"p": {}}}


async def refused(made: object) -> Failure:
    failure = await only_failure(kernel_with(ONE, p=made))
    assert failure.stage is FailureStage.REGISTER
    return failure


async def answers(made: object) -> bool:
    async with kernel_with(ONE, p=made) as kernel:
        return (await kernel.chat("hello")).text == "hello"


async def test_a_misspelt_hook_is_met_with_the_nearest_one() -> None:
    failure = await refused(plugin(provider=[Echo]))
    assert "the hook `provider`" in str(failure)
    assert "did you mean `providers`?" in str(failure)


async def test_a_hook_that_this_kernel_does_not_call_yet_says_which_it_calls() -> None:
    failure = await refused(plugin(providers=[Echo], tools=[]))
    assert "`tools`, which neither this kernel nor a loaded plugin declares" in str(failure)
    assert (
        "dependency_providers, hookspecs, middleware, providers, services, session_stores, "
        "stage_executors" in str(failure)
    )


async def test_an_argument_that_a_hook_has_not_is_named() -> None:
    def providers(kernel: object) -> list[type]:
        return [Echo]

    assert "{'kernel'}" in str(await refused(plugin(providers=providers)))


async def test_a_plugin_without_hooks_says_how_to_mark_them() -> None:
    class Unmarked:
        def providers(self) -> list[type]:
            return [Echo]

    assert "mark its functions with `@hookimpl`" in str(await refused(Unmarked()))


async def test_an_optional_hook_may_be_one_that_nobody_calls() -> None:
    class Modest:
        @hookimpl
        def providers(self) -> list[type]:
            return [Echo]

        @hookimpl(optionalhook=True)
        def routes(self) -> list[str]:
            return []

    assert await answers(Modest())


async def test_a_wrapper_wraps_the_plugins_own_answer() -> None:
    class Wrapping:
        @hookimpl
        def providers(self) -> list[type]:
            return [Echo]

    class Wrapper(Wrapping):
        @hookimpl(wrapper=True, specname="providers")
        def around(self) -> Iterator[Any]:
            found = yield
            return found

    assert await answers(Wrapper())


async def test_a_hook_may_be_a_generator() -> None:
    def providers() -> Iterator[type]:
        yield Echo

    assert await answers(plugin(providers=providers))


async def test_a_hook_that_raises_is_named() -> None:
    def providers() -> list[type]:
        message = "no such driver"
        raise LookupError(message)

    failure = await refused(plugin(providers=providers))
    assert "LookupError: no such driver" in str(failure)
    assert "`providers`" in failure.hint


@pytest.mark.parametrize("hook", ["providers", "hookspecs"])
async def test_a_hook_that_hangs_ends_at_its_limit(hook: str) -> None:
    gate = threading.Event()

    def hangs() -> list[type]:
        gate.wait()
        return []

    config = {**ONE, "kernel": {"import_timeout": 0.05}}
    failure = await only_failure(kernel_with(config, p=plugin(**{hook: hangs})))
    gate.set()
    assert f"the hook `{hook}` took longer than 0.05 s" in str(failure)
    assert "import_timeout" in failure.hint


@pytest.mark.parametrize("hook", ["providers", "hookspecs"])
async def test_a_hook_is_no_coroutine(hook: str) -> None:
    async def coroutine() -> list[type]:
        await asyncio.sleep(0)
        return [Echo]

    failure = await refused(plugin(**{hook: coroutine}))
    assert f"the hook `{hook}` is a coroutine" in str(failure)


@pytest.mark.parametrize("answer", [Echo, Echo(), 3])
async def test_a_hook_gives_a_list(answer: object) -> None:
    failure = await refused(plugin(providers=answer))
    assert "the hook `providers` returned" in str(failure)
    assert "it returns a list" in str(failure)


async def test_a_hook_that_gives_none_offers_nothing() -> None:
    def providers() -> None:
        return None

    error = await refusal(kernel_with(ONE, p=plugin(providers=providers)))
    assert "`p` offers nothing that a table can name" in str(error)


async def test_two_components_of_one_name_are_refused() -> None:
    class Other(Echo):
        name = "echo"

    failure = await refused(plugin(providers=[Echo, Other]))
    assert "two components called `echo`" in str(failure)


@dataclass
class Unhashable:
    """Equal by value, and so no member of a set."""

    offered: list[type] = field(default_factory=lambda: [Echo])

    @hookimpl
    def providers(self) -> list[type]:
        return self.offered


async def test_a_plugin_that_cannot_be_hashed_harms_no_other() -> None:
    config = {"providers": {"good": {}, "bad": {"optional": True}}}
    kernel = kernel_with(config, bad=Unhashable(), good=plugin(providers=[Echo]))
    async with kernel:
        assert "unhashable" in str(kernel.quarantined[0])
        assert (await kernel.chat("hello")).text == "hello"
