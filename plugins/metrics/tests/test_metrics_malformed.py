"""Anyone may publish anything by the names of the events."""

from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dovetail_metrics import MetricsProvider, MetricsSettings, Price
from plugins.metrics.tests.conftest import Open
from plugins.metrics.tests.pages import Page, page_of

UNCOUNTED = "dovetail_events_uncounted_total"
EVENTS = MetricsProvider.events
KEYS = [
    "run_id",
    "seconds",
    "duration",
    "count",
    "provider",
    "model",
    "request_model",
    "operation",
    "usage",
    "error",
    "tool",
    "stage",
    "plugin",
    "table",
    "finish_reason",
    "first_chunk_seconds",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
]

odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.builds(object),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
        | st.sets(st.integers(), max_size=2)
    ),
    max_leaves=12,
)


@given(told=st.lists(st.tuples(st.sampled_from(EVENTS), odd), max_size=20))
async def test_nothing_raises_and_the_page_can_be_read(told: list[tuple[str, Any]]) -> None:
    prices = {"*": Price(input=1.0, output=1.0, cached_input=0.1)}
    provider = MetricsProvider(settings=MetricsSettings(prices=prices))
    with capture_logs():
        for event, data in told:
            await provider.handle_event(event, data)
    page = Page.of(provider.page()[0])
    assert all(0 <= value < inf for value in page.samples.values())


@pytest.mark.parametrize("data", [None, "text", 7, [1], {}, {"seconds": "1"}, {"seconds": None}])
async def test_events_that_make_no_sense_are_counted_by_name(data: Any) -> None:
    provider = MetricsProvider()
    with capture_logs():
        await provider.handle_event("tool_execute", data)
    page = Page.of(provider.page()[0])
    assert page(UNCOUNTED, event="tool_execute") == 1
    assert not any(page.all("gen_ai_execute_tool_duration_seconds_count").values())
    assert provider.metrics["tool_duration"] == []


@pytest.mark.parametrize("seconds", [nan, inf, -inf, -1.0, "2", [], True.__class__])
async def test_no_number_spoils_a_sum(seconds: Any) -> None:
    provider = MetricsProvider()
    with capture_logs():
        for value in (1.5, seconds, 2.5):
            await provider.handle_event("tool_execute", {"tool": "search", "seconds": value})
    page = Page.of(provider.page()[0])
    assert page("gen_ai_execute_tool_duration_seconds_sum") == 4.0
    assert provider.metrics["tool_duration"] == [1.5, 2.5]


@pytest.mark.parametrize("tool", [7, b"search", ["search"], {"a": 1}, object()])
async def test_a_label_that_is_no_text_is_not_recorded(tool: Any) -> None:
    provider = MetricsProvider()
    with capture_logs():
        await provider.handle_event("tool_execute", {"tool": tool, "seconds": 1.0})
    assert provider.metrics["tool_duration"] == []
    assert provider.metrics["events_uncounted"] == [1]


async def test_what_is_not_known_is_left_out() -> None:
    provider = MetricsProvider()
    await provider.handle_event("tool_execute", {"seconds": 1.0})
    page = Page.of(provider.page()[0])
    assert page.all("gen_ai_execute_tool_duration_seconds_count") == {frozenset(): 1}


async def test_the_log_says_so_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("dovetail_metrics.provider.monotonic", lambda: now)
    provider = MetricsProvider()
    with capture_logs() as logs:
        for _ in range(5):
            await provider.handle_event("tool_execute", {"tool": "secret-words"})
        now += 59
        await provider.handle_event("tool_execute", None)
        now += 2
        await provider.handle_event("agent_complete", None)
    assert [(line["count"], line["latest"], line["error"]) for line in logs] == [
        (1, "tool_execute", "KeyError"),
        (6, "agent_complete", "AttributeError"),
    ]
    assert "secret-words" not in str(logs)


async def test_a_host_that_publishes_nonsense_harms_no_turn(open_kernel: Open) -> None:
    async with open_kernel() as kernel:
        for name in ("agent_start", "agent_complete", "model_complete", "event_dropped"):
            await kernel.publish(name, object())
        assert (await kernel.chat("hello")).text == "hello"
        page = await page_of(kernel)
    assert page(UNCOUNTED) == 4
    assert not page.all("dovetail_events_failed_total")
    assert page("dovetail_turn_duration_seconds_count") == 1
