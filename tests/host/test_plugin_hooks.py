"""Plugins that host plugins: they declare hooks, others answer."""

from __future__ import annotations

from itertools import permutations
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import FailureStage, PluginError, hookspec
from tests.support.plugins import Echo, kernel_with, only_failure, plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def declaring(**specs: Callable[..., object]) -> ModuleType:
    """A plugin whose specs are these functions."""
    page = ModuleType("specs")
    for name, function in specs.items():
        setattr(page, name, hookspec(function))
    return plugin(hookspecs=[page])


def routes(prefix: str, secure: bool) -> list[str]:  # type: ignore[empty-body]
    """Where to."""


def both(prefix: str, secure: bool) -> list[str]:
    return [f"{prefix}/a", f"{prefix}/{secure}"]


def less(prefix: str) -> list[str]:
    return [f"{prefix}/b"]


def named(*plugin_ids: str) -> Mapping[str, object]:
    return {"plugins": {plugin_id: {} for plugin_id in plugin_ids}}


@pytest.mark.parametrize("order", list(permutations(("gateway", "one", "two"))))
async def test_what_plugins_answer_comes_by_id_whatever_the_order_in_config(
    order: tuple[str, ...],
) -> None:
    kernel = kernel_with(
        named(*order),
        gateway=declaring(routes=routes),
        one=plugin(routes=both),
        two=plugin(routes=less),
    )
    async with kernel:
        answers = dict(kernel.collect("routes", prefix="/v1", secure=True))
        assert answers == {"one": ["/v1/a", "/v1/True"], "two": ["/v1/b"]}


async def test_a_hook_that_nobody_declares_cannot_be_collected() -> None:
    async with kernel_with(named("echo"), echo=plugin(providers=[Echo])) as kernel:
        with pytest.raises(PluginError, match="no loaded plugin declares the hook `routes`"):
            kernel.collect("routes")


async def test_a_plugin_that_answers_a_hook_whose_owner_is_not_there_is_refused() -> None:
    failure = await only_failure(kernel_with(named("one"), one=plugin(routes=less)))
    assert failure.stage is FailureStage.REGISTER
    assert "`routes`, which neither this kernel nor a loaded plugin declares" in str(failure)
    assert "or load the plugin that declares it, with [plugins.ID]" in str(failure)


async def test_an_answer_that_raises_names_its_plugin() -> None:
    def bad() -> list[str]:
        message = "no routes today"
        raise RuntimeError(message)

    kernel = kernel_with(
        named("gateway", "one"), gateway=declaring(routes=routes), one=plugin(routes=bad)
    )
    async with kernel:
        with pytest.raises(PluginError, match="plugin `one` failed in the hook `routes`") as caught:
            kernel.collect("routes", prefix="", secure=False)
        assert "no routes today" in str(caught.value)
        assert isinstance(caught.value.__cause__, RuntimeError)


async def test_two_plugins_may_not_declare_one_hook() -> None:
    kernel = kernel_with(
        named("first", "second"),
        first=declaring(routes=routes),
        second=declaring(routes=routes),
    )
    failure = await only_failure(kernel)
    assert (failure.plugin_id, failure.stage) == ("second", FailureStage.REGISTER)
    assert "'routes' is already registered" in str(failure)


async def test_what_is_declared_must_be_specs() -> None:
    failure = await only_failure(
        kernel_with(named("gateway"), gateway=plugin(hookspecs=[ModuleType("empty")]))
    )
    assert failure.stage is FailureStage.REGISTER
    assert "`hookspecs`" in failure.hint


async def test_of_a_first_result_hook_each_plugin_gives_one_answer() -> None:
    def theme() -> str:  # type: ignore[empty-body]
        """The page's colours."""

    page = ModuleType("specs")
    page.theme = hookspec(firstresult=True)(theme)  # type: ignore[attr-defined]

    def dark() -> str:
        return "dark"

    def nothing() -> None:
        return None

    kernel = kernel_with(
        named("gateway", "one", "two"),
        gateway=plugin(hookspecs=[page]),
        one=plugin(theme=dark),
        two=plugin(theme=nothing),
    )
    async with kernel:
        assert kernel.collect("theme") == [("one", "dark")]


async def test_a_plugin_that_a_reload_takes_out_is_not_asked_any_more() -> None:
    config: dict[str, Any] = {"plugins": {"gateway": {}, "one": {}, "two": {}}}
    kernel = kernel_with(
        config,
        gateway=declaring(routes=routes),
        one=plugin(routes=less),
        two=plugin(routes=less),
    )
    async with kernel:
        del config["plugins"]["one"]
        await kernel.reload()
        assert kernel.collect("routes", prefix="", secure=False) == [("two", ["/b"])]


async def test_a_plugin_that_failed_after_declaring_its_hooks_says_the_same_when_tried_again() -> (
    None
):
    gateway = declaring(routes=routes)
    gateway.providers = plugin(providers=[Echo()]).providers  # type: ignore[attr-defined]
    config = {"providers": {"gateway": {"optional": True}}}
    async with kernel_with(config, gateway=gateway) as kernel:
        before = str(kernel.quarantined[0])
        await kernel.reload()
        assert str(kernel.quarantined[0]) == before
        assert "not instances" in before
