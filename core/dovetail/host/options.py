"""The kernel's own keys: `[kernel]` and `[chat]`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dovetail.config.durations import Duration


class KernelOptions(BaseModel):
    """Limits of the host, under `[kernel]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    import_timeout: Duration = Field(
        default=30.0, gt=0, description="How long importing or asking one plugin may take."
    )
    start_timeout: Duration = Field(
        default=60.0, gt=0, description="How long one component may take to start."
    )
    stop_timeout: Duration = Field(
        default=10.0, gt=0, description="How long one component may take to stop."
    )
    retry_interval: Duration = Field(
        default=2.0,
        gt=0,
        description="How soon an optional component that was not ready is tried again; "
        "doubled each time, up to a minute.",
    )
    cancel_grace: Duration = Field(
        default=2.0, gt=0, description="How long a turn may take to stop before it is asked again."
    )
    commit_timeout: Duration = Field(
        default=10.0, gt=0, description="How long keeping a turn's messages may take."
    )
    max_turns: int = Field(default=10_000, ge=1, description="How many turns may be in flight.")


class ChatOptions(BaseModel):
    """What a turn does unless the request says otherwise, under `[chat]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        default="", description='The model to talk to: "instance/model", or "instance".'
    )
    embedding_model: str = Field(
        default="", description='The model that embeds: "instance/model", or "instance".'
    )
    history_fit: Literal["drop", "summarise", "refuse"] = Field(
        default="drop",
        description="What happens to the oldest messages when the history does not fit the "
        "model's context window: left out, replaced by a summary, or the request is refused.",
    )
    context_window: int | None = Field(
        default=None,
        ge=64,
        description="Tokens of prompt and answer together, where the provider cannot say.",
    )
    answer_tokens: int = Field(
        default=512,
        ge=1,
        description="Tokens of the window left free for the answer if the request sets no maximum.",
    )
