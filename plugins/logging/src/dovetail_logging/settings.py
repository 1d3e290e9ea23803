"""What an operator may write in a `[[middleware]]` table that uses `logging`."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field

from dovetail import Settings


class LoggingSettings(Settings):
    """Where the lines go, how they look and what they hold."""

    format: Literal["auto", "json", "colour", "plain"] = Field(
        default="auto",
        description="How a line looks; `auto` is `colour` on a terminal (`plain` if NO_COLOR is "
        "set) and `json` everywhere else.",
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="The least level that is written: calls that failed are `error`, other model "
        "calls `info`, other deliveries of events `debug`.",
    )
    file: Path | None = Field(
        default=None,
        description="The file that lines are appended to, from the folder the program runs in; "
        "without it they go to stderr.",
    )
    content: bool = Field(
        default=False,
        description="Whether to write the text of the prompt (the last message) and of the "
        "answer, redacted.",
    )
    content_chars: int = Field(
        default=1000,
        ge=1,
        description="How many characters of a text are written.",
    )
    redact_patterns: tuple[re.Pattern[str], ...] = Field(
        default=(),
        description="Regular expressions; what they match in texts and error messages is masked, "
        "besides everything that looks like a secret.",
    )
