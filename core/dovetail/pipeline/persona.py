"""Personas: who answers, by a template of the system prompt."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Persona(BaseModel):
    """What an operator may write under `[personas.NAME]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = Field(default="", description="What it is for, in a sentence.")
    template: str = Field(
        default="",
        description="The system prompt; with the plugin `modules`, `@name` stands for a module.",
    )
    file: Path | None = Field(
        default=None,
        description="A file that holds the template instead; from the config file's folder.",
    )
    model: str = Field(
        default="", description="The model it talks with, where the request names none."
    )
    temperature: float | None = Field(
        default=None, ge=0, description="How freely it answers, where the request does not say."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="How long its answers may get, where the request says not."
    )

    @model_validator(mode="after")
    def _one_template(self) -> "Persona":
        if self.template and self.file is not None:
            message = "has both `template` and `file`: keep one of them"
            raise ValueError(message)
        return self
