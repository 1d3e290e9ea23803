"""However many models, tools and errors there are, the page has a bound."""

import tracemalloc
from typing import Any

from prometheus_client import CollectorRegistry

from dovetail_metrics import MetricsProvider, MetricsSettings, PrometheusClient
from plugins.metrics.tests.pages import Page

TOOL = "gen_ai_execute_tool_duration_seconds_count"
CALL = "gen_ai_client_operation_duration_seconds_count"


async def page_after(event: str, *told: dict[str, Any], limit: int = 3) -> Page:
    provider = MetricsProvider(settings=MetricsSettings(max_label_values=limit))
    for data in told:
        await provider.handle_event(event, {"seconds": 1.0, **data})
    return Page.of(provider.page()[0])


async def test_what_exceeds_the_bound_of_a_label_is_other() -> None:
    tools = [{"tool": f"tool-{number % 10}"} for number in range(100)]
    page = await page_after("tool_execute", *tools)
    assert page.values(TOOL, "gen_ai_tool_name") == {
        "tool-0": 10,
        "tool-1": 10,
        "tool-2": 10,
        "other": 70,
    }


async def test_each_label_has_a_bound_of_its_own() -> None:
    tools = [{"tool": f"tool-{n}", "error": f"Error{n}"} for n in range(5)]
    page = await page_after("tool_execute", *tools)
    expected = {"tool-0": 1, "tool-1": 1, "tool-2": 1, "other": 2}
    assert page.values(TOOL, "gen_ai_tool_name") == expected
    expected = {"Error0": 1, "Error1": 1, "Error2": 1, "other": 2}
    assert page.values(TOOL, "error_type") == expected


async def test_a_million_models_fill_neither_the_page_nor_the_memory() -> None:
    client = PrometheusClient(CollectorRegistry())
    provider = MetricsProvider(client, MetricsSettings(max_label_values=20))
    for number in range(20_000):
        call = {"operation": "chat", "provider": f"p{number % 7}", "model": f"m{number}"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        data = {**call, "error": f"E{number % 13}" if number % 2 else None, "seconds": 1.0}
        await provider.handle_event("model_complete", {**data, "usage": usage})
    page = Page.of(provider.page()[0])
    assert page(CALL) == 20_000
    assert len(page.all(CALL)) <= 200 + 1
    assert len(page.all("gen_ai_client_token_usage_sum")) <= 2 * (200 + 1)
    for label in ("gen_ai_request_model", "gen_ai_response_model"):
        assert len(page.values(CALL, label)) <= 20 + len(("other", "not known"))


async def test_combinations_beyond_the_bound_are_other_in_every_label() -> None:
    told = [{"tool": f"t{n // 8}", "error": f"e{n % 8}"} for n in range(64)]
    page = await page_after("tool_execute", *told, limit=8)
    assert page(TOOL) == 64
    page = await page_after("tool_execute", *told, *told, limit=6)
    assert page(TOOL) == 128
    assert len(page.all(TOOL)) <= 6 * 10 + 1


async def test_long_values_are_cut() -> None:
    page = await page_after("tool_execute", {"tool": "x" * 10_000})
    assert page.values(TOOL, "gen_ai_tool_name") == {"x" * 128: 1}


async def test_names_of_any_length_are_not_kept() -> None:
    settings = MetricsSettings.model_validate({"prices": {"*": {"input": 1.0}}})
    provider = MetricsProvider(settings=settings)
    tracemalloc.start()
    try:
        for number in range(200):
            long = f"{number}" + "x" * 100_000
            await provider.handle_event("agent_start", {"run_id": long})
            call = {"operation": "chat", "provider": long, "model": long, "seconds": 1.0}
            usage = {"prompt_tokens": 1_000_000}
            await provider.handle_event("model_complete", {**call, "usage": usage})
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10_000_000
    assert sum(provider.metrics["cost"]) == 200


async def test_any_text_can_stand_on_the_page() -> None:
    odd = ['quo"te', "back\\slash", "new\nline", "", "\x00", "🌱", "half \ud800 of a pair"]
    page = await page_after("tool_execute", *({"tool": text} for text in odd), limit=10)
    expected = {**dict.fromkeys(odd[:-1], 1), "half ? of a pair": 1}
    assert page.values(TOOL, "gen_ai_tool_name") == expected


async def test_users_and_sessions_are_no_labels() -> None:
    data = {"user_id": "ada", "session_id": "s-1", "request_id": "r-1", "run_id": "x-1"}
    provider = MetricsProvider()
    for event in provider.events:
        await provider.handle_event(event, {**data, "seconds": 1.0, "count": 1})
    body = provider.page()[0].decode()
    assert not [value for value in data.values() if f'"{value}"' in body]


async def test_turns_whose_end_never_comes_are_forgotten() -> None:
    provider = MetricsProvider()
    for number in range(11_000):
        await provider.handle_event("agent_start", {"run_id": number})
    assert Page.of(provider.page()[0])("dovetail_turns_active") == 10_000
    await provider.handle_event("agent_complete", {"run_id": 0, "seconds": 1.0})
    await provider.handle_event("agent_complete", {"run_id": 10_999, "seconds": 1.0})
    assert Page.of(provider.page()[0])("dovetail_turns_active") == 9_999
