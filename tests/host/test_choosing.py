"""Which of a plugin's components a table means."""

from __future__ import annotations

import pytest

from dovetail import FailureStage, Middleware
from tests.host.lives import Lively, noting
from tests.support.plugins import Echo, kernel_with, only_failure, plugin


class Loud(Echo):
    pass


class Quiet(Echo):
    name = "soft"


TWO = {"p": plugin(providers=[Loud, Quiet])}


@pytest.mark.parametrize(("use", "chosen"), [("p:loud", Loud), ("p:soft", Quiet)])
async def test_a_table_names_a_component_after_the_plugin(use: str, chosen: type[Echo]) -> None:
    async with kernel_with({"providers": {"x": {"use": use}}}, **TWO) as kernel:
        assert type(kernel.generation.providers["x"]) is chosen


async def test_of_several_the_one_called_like_the_plugin_is_meant() -> None:
    made = plugin(providers=[Quiet, Loud])
    async with kernel_with({"providers": {"loud": {}}}, loud=made) as kernel:
        assert type(kernel.generation.providers["loud"]) is Loud


async def test_of_several_one_must_be_named() -> None:
    failure = await only_failure(kernel_with({"providers": {"p": {}}}, **TWO))
    assert failure.stage is FailureStage.VALIDATE
    assert "`p` offers several" in str(failure)
    assert "p:loud, p:soft" in str(failure)


async def test_a_component_that_is_not_there_is_met_with_those_that_are() -> None:
    failure = await only_failure(kernel_with({"providers": {"x": {"use": "p:laud"}}}, **TWO))
    assert "`p` has no component `laud`" in str(failure)
    assert "p:loud, p:soft" in str(failure)


@pytest.mark.parametrize("use", ["p", "p:loud"])
async def test_a_table_of_another_kind_says_what_the_plugin_offers(use: str) -> None:
    failure = await only_failure(kernel_with({"middleware": [{"use": use}]}, **TWO))
    assert "`p` offers no middleware; it offers providers" in str(failure)
    assert "[[middleware]]" in failure.component


async def test_one_plugin_may_be_provider_and_middleware_under_one_name() -> None:
    class Same(Middleware):
        name = "loud"

        async def before_chat(self, call: object) -> None: ...

    made = plugin(providers=[Loud], middleware=[Same])
    config = {"providers": {"p": {}}, "middleware": [{"use": "p:loud"}]}
    async with kernel_with(config, p=made) as kernel:
        assert (await kernel.chat("hello")).text == "hello"


async def test_a_component_may_run_several_times_with_settings_of_its_own() -> None:
    config = {
        "providers": {
            "first": {"use": "p", "mark": "1"},
            "second": {"use": "p", "mark": "2"},
        }
    }
    async with kernel_with(config, p=plugin(providers=[noting([])])) as kernel:
        running = kernel.generation.providers
        assert {
            name: (i.instance, i.settings.mark)
            for name, i in running.items()
            if isinstance(i, Lively)
        } == {"first": ("first", "1"), "second": ("second", "2")}
