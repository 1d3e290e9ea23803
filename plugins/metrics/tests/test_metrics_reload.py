"""Reloads, several instances, several kernels, one registry for a whole process."""

from typing import Any

import pytest
from prometheus_client import REGISTRY

import dovetail_metrics
from dovetail import EventProvider, Kernel, StartError
from dovetail.testing import FakeModel, fake_plugin
from plugins.metrics.tests.conftest import Open
from plugins.metrics.tests.pages import Page, page_of, provider_of

CALLS = "gen_ai_client_operation_duration_seconds_count"


def kernel_of(config: dict[str, Any]) -> Kernel:
    kernel = Kernel.open(config, env={}).register("fake", fake_plugin(FakeModel()))
    return kernel.register("metrics", dovetail_metrics)


async def test_a_reload_goes_on_counting() -> None:
    config: dict[str, Any] = {"providers": {"fake": {}, "metrics": {"port": 0}}}
    async with kernel_of(config) as kernel:
        url = provider_of(kernel).url
        await kernel.chat("hello", model="fake")
        config["providers"]["second"] = {"use": "fake"}
        await kernel.reload()
        await kernel.chat("hello", model="second")
        page = await page_of(kernel)
        assert provider_of(kernel).url == url
    assert page.values(CALLS, "gen_ai_provider_name") == {"fake": 1, "second": 1}
    assert page("dovetail_config_reloads_total") == 1
    assert page("dovetail_plugins_started_total", table="[providers.second]") == 1


async def test_its_own_settings_change_at_a_restart_and_reload_says_so() -> None:
    config: dict[str, Any] = {"providers": {"fake": {}, "metrics": {"port": 0}}}
    async with kernel_of(config) as kernel:
        await kernel.chat("hello", model="fake")
        config["providers"]["metrics"] = {"port": 0, "currency": "EUR"}
        report = await kernel.reload()
        await kernel.chat("hello", model="fake")
        page = await page_of(kernel)
    assert report.needs_restart == ("[providers.metrics]",)
    assert page(CALLS) == 2


async def test_it_can_come_and_go_with_reloads() -> None:
    config: dict[str, Any] = {"providers": {"fake": {}}}
    async with kernel_of(config) as kernel:
        await kernel.chat("hello", model="fake")
        config["providers"]["metrics"] = {"port": 0}
        await kernel.reload()
        await kernel.chat("hello", model="fake")
        assert (await page_of(kernel))(CALLS) == 1
        provider = provider_of(kernel)
        del config["providers"]["metrics"]
        await kernel.reload()
        await kernel.chat("hello", model="fake")
        assert len(provider.metrics["call_duration"]) == 1


async def test_two_instances_count_for_themselves(open_kernel: Open) -> None:
    other = {"use": "metrics", "port": 0, "max_label_values": 1}
    async with open_kernel(providers={"other": other}) as kernel:
        await kernel.chat("hello")
        one, two = await page_of(kernel), await page_of(kernel, "other")
    assert one(CALLS) == two(CALLS) == 1
    assert one.values(CALLS, "gen_ai_provider_name") == {"fake": 1}
    # It has seen the names of others start before.
    assert len(two.values("dovetail_plugins_started_total", "table")) <= 2


async def test_two_kernels_of_a_process_do_not_meet(open_kernel: Open) -> None:
    async with open_kernel() as one, open_kernel() as two:
        await one.chat("hello")
        await one.chat("hello")
        await two.chat("hello")
        assert (await page_of(one))(CALLS) == 2
        assert (await page_of(two))(CALLS) == 1


async def test_the_registry_of_the_process_can_be_used(open_kernel: Open) -> None:
    for _ in range(2):
        async with open_kernel(registry="process") as kernel:
            await kernel.chat("hello")
            assert (await page_of(kernel))("python_info") == 1
            name = "gen_ai_client_operation_duration_seconds_count"
            [value] = [
                sample.value
                for family in REGISTRY.collect()
                for sample in family.samples
                if sample.name == name
            ]
            assert value == 1
        assert not [f for f in REGISTRY.collect() if f.name.startswith("dovetail")]


async def test_the_registry_of_the_process_takes_one(open_kernel: Open) -> None:
    other = {"use": "metrics", "registry": "process"}
    kernel = open_kernel(registry="process", providers={"other": other})
    with pytest.raises(StartError, match="has metrics of these names already"):
        await kernel.start()
    await kernel.close()
    assert not [f for f in REGISTRY.collect() if f.name.startswith("dovetail")]


async def test_its_events_may_be_queued(open_kernel: Open) -> None:
    async with open_kernel(delivery="queued") as kernel:
        provider = provider_of(kernel)
        for _ in range(5):
            await kernel.chat("hello")
    assert len(provider.metrics["call_duration"]) == 5


async def test_dropped_events_of_others_are_counted(open_kernel: Open) -> None:
    class Full(EventProvider):
        events = ("order_placed",)
        delivery = "queued"
        queue_size = 1
        when_full = "drop_newest"

        async def handle_event(self, event: str, data: Any) -> None:
            """Take it."""

    async with open_kernel(Full) as kernel:
        provider = provider_of(kernel)
        for _ in range(5):
            await kernel.publish("order_placed", {})
    page = Page.of(provider.page()[0])
    assert page("dovetail_events_dropped_total", provider="full") == 4
