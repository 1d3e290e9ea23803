"""What an operator may write in `[plugins.modules]`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from dovetail import Duration, Settings


class ModulesSettings(Settings):
    """Where modules come from, and what they may take."""

    folder: Path = Field(
        default=Path("modules"),
        description="The folder with modules, as `*.md`, `*.py` and `*.toml`, from the working "
        "directory.",
    )
    store: str = Field(
        default="",
        pattern=r"^[a-z0-9_]*$",
        description='Where modules are kept that programs write: "sqlite" takes the service '
        '`sqlite_modules`, "memory" is gone with the process; without one there are none.',
    )
    refresh: Duration = Field(
        default=1.0, ge=0, description="How often folder and store are looked at for changes."
    )
    model: str = Field(
        default="",
        description='The model that modules ask which name none: "instance/model"; else the '
        "turn's own.",
    )
    gap: str = Field(
        default="[module {name}: {reason}]",
        description="What stands in a prompt for a module that came to nothing.",
    )
    missing: Literal["gap", "refuse"] = Field(
        default="gap",
        description="What becomes of a turn whose template names a module that is not there.",
    )
    max_depth: int = Field(
        default=20, ge=1, le=100, description="How deep modules may lie within modules."
    )
    max_length: int = Field(
        default=100_000, ge=1, le=10_000_000, description="Characters of one module's text."
    )
    max_prompt: int = Field(
        default=1_000_000, ge=1, le=100_000_000, description="Characters of the whole prompt."
    )
    module_timeout: Duration = Field(
        default=20.0, gt=0, description="How long one module may take."
    )
    stage_timeout: Duration = Field(
        default=27.0,
        gt=0,
        description="How long the modules of one stage may take; nine tenths of that of "
        "[pipeline] at most. What is not done then is a gap.",
    )
    at_once: int = Field(
        default=32, ge=1, le=1000, description="How many modules of a turn work at the same time."
    )
    reflection_depth: int = Field(
        default=3, ge=1, le=10, description="How deep calls of models by modules may lie in others."
    )
    state_value_limit: int = Field(
        default=20_000, ge=1, description="Characters, as JSON, of one value that modules keep."
    )
    state_limit: int = Field(
        default=200_000,
        ge=1,
        description="Characters, as JSON, of all they keep of a conversation, or of a user.",
    )
