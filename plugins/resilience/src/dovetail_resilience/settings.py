"""What an operator may write in a `[[middleware]]` table that uses `resilience`."""

from typing import Annotated

from pydantic import Field

from dovetail import (
    ChatProvider,
    Component,
    Duration,
    EmbeddingProvider,
    Settings,
    SoftRef,
)

Some = Annotated[int, Field(ge=1)]


class BreakerSettings(Settings):
    """When an instance that keeps failing is left alone for a while."""

    failures: int = Field(
        default=5,
        ge=0,
        le=1000,
        description="How many failures in a row open an instance's circuit; 0 for no breaker.",
    )
    window: Duration = Field(
        default=60.0, gt=0, description="The time within which so many must have come."
    )
    reset: Duration = Field(
        default=30.0,
        gt=0,
        description="How long an open circuit refuses calls; then one call probes the instance.",
    )


class LimitSettings(Settings):
    """How much may be asked of one instance, or of all together; what is not set has no limit."""

    instance: SoftRef[Component] | None = Field(
        default=None,
        description="The instance that it holds for; left out it holds for all together.",
    )
    concurrent: Some | None = Field(
        default=None, description="Calls at the same time; a stream is one until its end."
    )
    requests_per_minute: Some | None = Field(
        default=None, description="Calls begun in any 60 seconds, each attempt counted."
    )
    tokens_per_minute: Some | None = Field(
        default=None,
        description="Tokens of prompts and answers in any 60 seconds: estimated before a call, "
        "counted from its usage afterwards.",
    )
    wait: Duration = Field(
        default=60.0, ge=0, description="How long a call waits for its place before it is refused."
    )
    waiting: int = Field(
        default=1000, ge=0, description="How many calls may wait at once; more are refused."
    )


class ResilienceSettings(Settings):
    """How often, how long and where else a model call is tried, and how much at once."""

    attempts: int = Field(
        default=3, ge=1, le=100, description="Attempts at each model of a call, the first included."
    )
    total_attempts: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Attempts of a call in all; each fallback that is left has one kept for it.",
    )
    first_wait: Duration = Field(
        default=0.5,
        gt=0,
        description="The most to wait before the first retry; the bound doubles with each, and the "
        "wait is anything up to it.",
    )
    longest_wait: Duration = Field(
        default=120.0,
        gt=0,
        description="The most to wait before any retry; a server that asks for more is not asked "
        "again.",
    )
    budget: Duration = Field(
        default=600.0,
        gt=0,
        description="The time that all attempts and waits of a call may take until its answer is "
        "handed on: whole, or the first chunk of a stream.",
    )
    fallback: tuple[SoftRef[ChatProvider], ...] = Field(
        default=(),
        max_length=20,
        description="Models to ask, in this order, where one cannot answer; each as "
        '"instance/model". An optional instance that is out of order is passed over.',
    )
    embedding_fallback: tuple[SoftRef[EmbeddingProvider], ...] = Field(
        default=(),
        max_length=20,
        description="The same for embeddings. Name only the same model elsewhere: vectors of "
        "different models cannot be compared.",
    )
    hold: str = Field(
        default="first_chunk",
        pattern=r"^(first_chunk|end|[1-9][0-9]{0,8} (chunk|character)s?)$",
        description="How much of a stream is held back so that it can still be tried again: "
        '"first_chunk", "8 chunks", "200 characters" or "end".',
    )
    breaker: BreakerSettings = Field(
        default_factory=BreakerSettings,
        description="When an instance that keeps failing is left alone for a while.",
    )
    limits: tuple[LimitSettings, ...] = Field(
        default=(),
        max_length=100,
        description="How much may be asked of an instance, or of all together.",
    )
