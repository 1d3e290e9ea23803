"""The provider without a kernel, as a host application or a test uses it."""

from typing import Any
from unittest.mock import Mock

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client import Metric as PrometheusMetric

from dovetail import EventDispatcher, EventProvider, PluginError, ProviderRegistry
from dovetail_metrics import FAMILIES, Family, MetricsProvider, MetricsSettings, PrometheusClient
from plugins.metrics.tests.pages import Page

CALL = {
    "operation": "chat",
    "provider": "ollama",
    "model": "llama3.2",
    "seconds": 2.0,
    "first_chunk_seconds": 0.25,
    "usage": {"prompt_tokens": 12, "completion_tokens": 30},
    "error": None,
}


class MockMetricsClient:
    """What a test may have at hand."""


class Notes:
    """A client that notes what it is told."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, tuple[str, ...], float]] = []
        self.watched: dict[str, Any] = {}

    def recorder(self, family: Family, labels: tuple[str, ...]) -> Any:
        return lambda number: self.noted.append((family.name, labels, number))

    def watch(self, family: Family, read: Any) -> None:
        self.watched[family.name] = read


class Breaks(Notes):
    """A client whose server is away."""

    def recorder(self, family: Family, labels: tuple[str, ...]) -> Any:
        def record(number: float) -> None:
            raise ConnectionError("no route to the server")

        return record


@pytest.mark.parametrize("client", [None, MockMetricsClient(), Mock(), PrometheusClient(), Notes()])
async def test_it_measures_tools(client: Any) -> None:
    provider = MetricsProvider(client)
    await provider.handle_event("tool_execute", {"tool": "search", "duration": 1.5})
    assert provider.metrics["tool_duration"] == [1.5]


async def test_it_needs_no_argument() -> None:
    provider = MetricsProvider()
    assert provider.metrics["tool_duration"] == []
    await provider.handle_event("tool_execute", {"tool": "search", "duration": 1.5})
    assert provider.metrics["tool_duration"] == [1.5]


async def test_its_view_holds_the_numbers_of_each_event() -> None:
    provider = MetricsProvider()
    await provider.handle_event("model_complete", CALL)
    await provider.handle_event("agent_complete", {"seconds": 3.0, "finish_reason": "stop"})
    await provider.handle_event("session_expired", {"count": 4})
    filled = {name: numbers for name, numbers in provider.metrics.items() if numbers}
    assert filled == {
        "call_duration": [2.0],
        "time_to_first_chunk": [0.25],
        "input_tokens": [12],
        "output_tokens": [30],
        "turn_duration": [3.0],
        "session_events": [4],
    }


async def test_its_view_keeps_the_latest() -> None:
    provider = MetricsProvider()
    for number in range(5000):
        await provider.handle_event("tool_execute", {"tool": "search", "duration": number})
    seen = provider.metrics["tool_duration"]
    assert 900 <= len(seen) <= 1000
    assert seen == [*range(5000 - len(seen), 5000)]


async def test_a_client_of_the_hosts_own_is_told() -> None:
    client = Notes()
    provider = MetricsProvider(client)
    await provider.handle_event("model_complete", {**CALL, "request_model": "llama"})
    call = ("chat", "ollama", "llama", "llama3.2")
    assert client.noted == [
        ("gen_ai_client_operation_duration_seconds", (*call, ""), 2.0),
        ("gen_ai_client_operation_time_to_first_chunk_seconds", call, 0.25),
        ("gen_ai_client_token_usage", (*call, "input"), 12),
        ("gen_ai_client_token_usage", (*call, "output"), 30),
    ]
    await provider.handle_event("agent_start", {"run_id": "r"})
    assert client.watched["dovetail_turns_active"]() == {(): 1}


async def test_a_client_that_breaks_harms_nobody() -> None:
    provider = MetricsProvider(Breaks())
    await provider.handle_event("tool_execute", {"tool": "search", "duration": 1.5})
    assert provider.metrics["tool_duration"] == [1.5]
    assert provider.metrics["events_uncounted"] == [1]


async def test_a_client_without_a_page_says_so() -> None:
    provider = MetricsProvider(Notes(), MetricsSettings(port=0))
    with pytest.raises(PluginError, match="`Notes`, the metrics client, makes no page"):
        provider.page()
    with pytest.raises(PluginError, match="leave `port` out"):
        await provider.start()
    await provider.stop()


async def test_a_host_serves_the_page_itself() -> None:
    provider = MetricsProvider()
    await provider.start()
    await provider.handle_event("model_complete", CALL)
    body, content_type = provider.page()
    await provider.stop()
    assert provider.url == ""
    assert content_type.startswith("text/plain; version=0.0.4")
    assert Page.of(body)("gen_ai_client_token_usage_sum", gen_ai_token_type="output") == 30


async def test_a_host_gives_its_own_registry() -> None:
    registry = CollectorRegistry()
    Counter("orders", "Orders.", registry=registry).inc(5)
    provider = MetricsProvider(PrometheusClient(registry))
    await provider.handle_event("model_complete", CALL)
    page = Page.of(provider.page()[0])
    assert page("orders_total") == 5
    assert page("gen_ai_client_operation_duration_seconds_count") == 1


async def test_a_registry_takes_it_once() -> None:
    registry = CollectorRegistry()
    first = PrometheusClient(registry)
    with pytest.raises(PluginError, match="has metrics of these names already"):
        PrometheusClient(registry)
    first.close()
    first.close()
    PrometheusClient(registry).close()
    assert not [*registry.collect()]


async def test_every_family_is_on_the_page_from_the_beginning() -> None:
    client = PrometheusClient()
    await MetricsProvider(client).start()
    shown: list[PrometheusMetric] = [*client.registry.collect()]
    assert [(m.name, m.type) for m in shown] == [(f.name, f.kind) for f in FAMILIES]
    assert all(metric.documentation for metric in shown)


async def test_events_that_wait_for_their_providers_are_shown() -> None:
    class Slow(EventProvider):
        events = ("order_placed",)
        delivery = "queued"

        async def handle_event(self, event: str, data: Any) -> None:
            raise AssertionError

    registry = ProviderRegistry()
    slow = registry.register(Slow())
    provider = MetricsProvider()
    registry.register(provider)
    provider.watch_queues(registry)
    dispatcher = EventDispatcher(registry)
    for _ in range(3):
        await dispatcher.dispatch("order_placed", {})
    waiting = Page.of(provider.page()[0]).all("dovetail_event_queue_depth")
    assert waiting == {frozenset({("provider", "slow")}): 3}
    assert slow.mailbox is not None
    await slow.mailbox.close(0)


async def test_it_is_told_by_a_dispatcher() -> None:
    registry = ProviderRegistry()
    provider = MetricsProvider()
    registry.register(provider)
    await registry.start()
    dispatcher = EventDispatcher(registry)
    await dispatcher.dispatch("model_complete", CALL)
    await dispatcher.dispatch("something_else", CALL)
    await registry.stop()
    assert provider.metrics["call_duration"] == [2.0]
