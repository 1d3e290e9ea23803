"""The kernel's own keys: `[kernel]` and `[chat]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from dovetail.config.durations import Duration

if TYPE_CHECKING:
    from dovetail.chat.runs import ChatSessionManager


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

    def limit(self, runs: ChatSessionManager) -> None:
        """Have these limits hold for `runs`."""
        runs.cancel_grace, runs.commit_timeout = self.cancel_grace, self.commit_timeout
        runs.max_runs = self.max_turns


class PipelineOptions(BaseModel):
    """How the stages around the answer run, under `[pipeline]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage_timeout: Duration = Field(
        default=30.0, gt=0, description="How long one stage may take; what is not done then is out."
    )
    after: Literal["await", "background"] = Field(
        default="await",
        description="Whether a call returns when the stages after the answer are done (`await`) or "
        "when the answer is there (`background`); the session's next turn waits for them.",
    )


class ChatOptions(BaseModel):
    """What a turn does unless the request says otherwise, under `[chat]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        default="", description='The model to talk to: "instance/model", or "instance".'
    )
    embedding_model: str = Field(
        default="", description='The model that embeds: "instance/model", or "instance".'
    )
    persona: str = Field(
        default="", description="The persona that answers unless a request names one."
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
