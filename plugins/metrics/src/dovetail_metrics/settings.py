"""What an operator may write in a `[providers.…]` table that uses `metrics`."""

from typing import Literal

from pydantic import Field

from dovetail import EventSettings, Settings


class Price(Settings):
    """What a million tokens of a model cost."""

    input: float = Field(ge=0, allow_inf_nan=False, description="A million tokens of prompts.")
    output: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="A million tokens of answers."
    )
    cached_input: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="A million tokens of prompts that the provider had cached; as `input` if left "
        "out.",
    )


class MetricsSettings(EventSettings):
    """Where the page is served, how much stands on it, and what tokens cost."""

    port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Where the page is served, at `/metrics`; 0 takes a free port and logs it. "
        "Without it nothing listens.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description='The address to listen at; "0.0.0.0" for other machines too.',
    )
    registry: Literal["own", "process"] = Field(
        default="own",
        description="Where the numbers are kept: in a registry of its own, or in the Prometheus "
        "client's default one, where a host may serve them beside its own.",
    )
    max_label_values: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="How many values each label may have (models, tools, errors, …); what comes "
        'later is counted as "other".',
    )
    currency: str = Field(
        default="USD",
        pattern=r"^[A-Za-z]{1,16}$",
        description="What prices are in; it is a label of the cost.",
    )
    prices: dict[str, Price] = Field(
        default_factory=dict,
        max_length=10_000,
        description='Prices by "instance/model", by model, or by a pattern for either, such as '
        '"gpt-4o*"; the exact name wins, then the first pattern.',
    )
