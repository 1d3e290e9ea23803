"""What calls cost."""

from typing import Any

import pytest
from pydantic import ValidationError

from dovetail import ConfigError
from dovetail_metrics import MetricsProvider, MetricsSettings
from plugins.metrics.tests.conftest import Open


async def cost(prices: dict[str, Any], data: dict[str, Any]) -> list[float]:
    settings = MetricsSettings.model_validate({"prices": prices})
    provider = MetricsProvider(settings=settings)
    call = {"operation": "chat", "provider": "openai", "model": "gpt-4o-2024-08-06"}
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000}
    event = {"seconds": 1.0, "error": None, **call, "usage": usage, **data}
    await provider.handle_event("model_complete", event)
    return provider.metrics["cost"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["openai/gpt-4o-2024-08-06", "gpt-4o*"], [1.0]),
        (["gpt-4o*", "openai/gpt-4o-2024-08-06"], [2.0]),
        (["*", "gpt-4o-2024-08-06"], [2.0]),
        (["gpt-4o*", "gpt*"], [1.0]),
        (["gpt*", "gpt-4o*"], [1.0]),
        (["openai/*"], [1.0]),
        (["other/*", "GPT-4O*", "gpt-4o"], []),
        ([], []),
    ],
)
async def test_the_exact_name_wins_and_then_the_first_pattern(
    names: list[str], expected: list[float]
) -> None:
    prices = {name: {"input": place} for place, name in enumerate(names, 1)}
    assert await cost(prices, {}) == expected


async def test_the_model_that_was_asked_for_may_have_the_price() -> None:
    prices = {"openai/gpt-4o": {"input": 2.5, "output": 10.0}}
    assert await cost(prices, {"request_model": "gpt-4o"}) == [12.5]


async def test_cached_tokens_are_part_of_the_prompt() -> None:
    prices = {"*": {"input": 2.0, "cached_input": 0.5}}
    usage = {"prompt_tokens": 1_000_000, "cached_tokens": 400_000}
    assert await cost(prices, {"usage": usage}) == pytest.approx([1.4])
    assert await cost({"*": {"input": 2.0}}, {"usage": usage}) == [2.0]
    more = {"prompt_tokens": 100_000, "cached_tokens": 400_000}
    assert await cost(prices, {"usage": more}) == pytest.approx([0.05])


async def test_without_usage_nothing_is_said_of_the_cost() -> None:
    assert await cost({"*": {"input": 2.0}}, {"usage": None}) == []


async def test_prices_of_many_models_are_found_again() -> None:
    settings = MetricsSettings.model_validate({"prices": {"m*": {"input": 1.0}}})
    provider = MetricsProvider(settings=settings)
    call = {"operation": "chat", "provider": "p", "seconds": 1.0}
    for number in range(3000):
        usage = {"prompt_tokens": 1_000_000}
        data = {**call, "model": f"m{number % 1500}", "usage": usage}
        await provider.handle_event("model_complete", data)
    assert set(provider.metrics["cost"]) == {1.0}


@pytest.mark.parametrize("price", [{"input": -1}, {"input": "inf"}, {"output": 1}, {"in": 1}])
def test_a_price_that_is_none_is_refused(price: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MetricsSettings.model_validate({"prices": {"m": price}})


async def test_a_wrong_price_in_the_config_is_named(open_kernel: Open) -> None:
    kernel = open_kernel(prices={"openai/gpt-4o": {"inputs": 1.0}})
    with pytest.raises(ConfigError, match=r"(?s)gpt-4o.*inputs"):
        await kernel.start()
    await kernel.close()
