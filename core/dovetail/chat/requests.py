"""What a provider is asked."""

from typing import Literal

from pydantic import Field

from dovetail.chat.frozen import empty, freeze
from dovetail.chat.messages import ChatMessage, JsonObject, Model

NO_PARAMETERS = freeze({"type": "object", "properties": {}})
"""JSON Schema of a function that takes nothing."""


class FunctionTool(Model):
    """A function a model may call, as it is shown to the model."""

    name: str
    description: str = ""
    parameters: JsonObject = Field(default=NO_PARAMETERS)
    """JSON Schema of the arguments object."""
    strict: bool = False
    """Ask the provider to hold the model to the schema."""


class ToolChoice(Model):
    """The one function the model must call."""

    name: str


class ResponseFormat(Model):
    """The form the answer must have."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = "answer"
    """A name for the schema; some providers want one."""
    json_schema: JsonObject | None = None
    """JSON Schema of the answer, for `json_schema`."""
    strict: bool = True


class ChatRequest(Model):
    """A request in the form every provider understands; None means the provider's default."""

    messages: tuple[ChatMessage, ...]
    model: str = ""
    """`instance/model` for the kernel; a provider gets what follows the first slash."""
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: Literal["auto", "none", "required"] | ToolChoice | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    """How much to think first: `low`, `medium`, `high`, or what the provider knows."""
    extras: JsonObject = Field(default_factory=empty)
    """Fields of one provider's own, sent as they are."""
    metadata: JsonObject = Field(default_factory=empty)
    """For middleware and logs; never sent."""
    persona_id: str = ""
    """The persona that answers, by its name in the config; empty for the config's default."""


class EmbeddingRequest(Model):
    """Texts to embed."""

    input: tuple[str, ...] = Field(min_length=1)
    model: str = ""
    """`instance/model` for the kernel; a provider gets what follows the first slash."""
    dimensions: int | None = Field(default=None, ge=1)
    extras: JsonObject = Field(default_factory=empty)
    metadata: JsonObject = Field(default_factory=empty)
