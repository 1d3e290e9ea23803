"""What a resolver gives."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dovetail import Stage


@dataclass(frozen=True, slots=True)
class ModuleRun:
    """What one module did in a stage."""

    module: str
    stage: Stage
    kind: str
    seconds: float = 0.0
    chars: int | None = None
    """Characters of its text; None where nobody counted them."""
    error: str | None = None
    """Why it came to nothing; the prompt has a gap then."""
    skipped: bool = False
    """Whether its conditions did not hold."""
    cached: bool = False
    """Whether it was not asked, since what it came to before is still good."""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    modules: tuple[ModuleRun, ...] = ()
    """What was done, in the order in which it ended."""
    errors: tuple[str, ...] = ()
    """What went wrong: a line for each reference that leads nowhere, each module that failed."""
    variables: dict[str, Any] = Field(default_factory=dict)
    """What modules left for one another, by module."""
    seconds: float = 0.0


class TemplateResolution(_Result):
    """A template with its modules put in."""

    resolved_template: str
    """The text for the model."""
    prompts: dict[int, str] = Field(default_factory=dict)
    """The text as it was after each stage."""


class PostResponseResult(_Result):
    """What became of the modules that work after the answer."""

    texts: dict[str, str] = Field(default_factory=dict)
    """What stands for them in the next turn's prompt, by module."""
    state_changed: bool = False
    """Whether there is anything to keep."""
