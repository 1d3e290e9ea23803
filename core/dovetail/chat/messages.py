"""What is said in a conversation."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dovetail.chat.frozen import empty, freeze

JsonObject = Annotated[dict[str, Any], AfterValidator(freeze)]
"""A JSON object, frozen."""
Text = Annotated[str, Field(max_length=2**31)]
"""A text that can be written: with a limit pydantic also refuses halves of surrogate pairs."""


_set = object.__setattr__


class Model(BaseModel):
    """The base of the chat models: immutable, no unknown fields, exact in JSON."""

    # Errors are logged and shown: they say what is wrong, and repeat no part of a conversation.
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )

    def changed(self, **values: Any) -> Self:
        """A copy with other values, not validated: `model_copy(update=...)` at half the cost."""
        copy = type(self).__new__(type(self))
        _set(copy, "__dict__", {**self.__dict__, **values})
        _set(copy, "__pydantic_fields_set__", self.model_fields_set | values.keys())
        _set(copy, "__pydantic_extra__", None)
        _set(copy, "__pydantic_private__", None)
        return copy


class MessageRole(StrEnum):
    """Who says it."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class TextPart(Model):
    """A piece of text in a message of several parts."""

    type: Literal["text"] = "text"
    text: Text


class ImagePart(Model):
    """An image in a message: by `url` (http, https or data) or as base64 `data`."""

    type: Literal["image"] = "image"
    url: str = ""
    """Where the image is; empty if `data` holds it."""
    data: str = ""
    """The image itself, base64."""
    media_type: str = "image/png"
    """The media type of `data`."""
    detail: Literal["auto", "low", "high"] = "auto"
    """How closely the model should look."""


class AudioPart(Model):
    """Something heard, in a message: base64 `data` in a named `format`."""

    type: Literal["audio"] = "audio"
    data: str
    """The sound itself, base64."""
    format: str = "wav"
    """How it is encoded: `wav`, `mp3`, or what the provider knows."""


ContentPart = Annotated[TextPart | ImagePart | AudioPart, Field(discriminator="type")]


class ToolCall(Model):
    """A model's wish to have a tool called."""

    id: str
    name: str
    arguments: Text = "{}"
    """The arguments as the model wrote them: JSON text, perhaps not valid."""
    extras: JsonObject = Field(default_factory=empty)
    """What the provider put beside it and may want back with the call's result."""


class Annotation(Model):
    """Where something in an answer's text comes from."""

    type: str = "url_citation"
    """`url_citation`, or the provider's word for another kind."""
    url: str = ""
    title: str = ""
    start: int | None = None
    """Where in the text the passage begins that it is about, in characters."""
    end: int | None = None
    """The character after the passage's last."""
    extras: JsonObject = Field(default_factory=empty)
    """What the provider said besides."""


class ChatMessage(Model):
    """One message. `content` is text, or parts where there is more than text."""

    role: MessageRole
    content: Text | tuple[ContentPart, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """What the assistant wants called."""
    tool_call_id: str = ""
    """In a tool message: the call it answers."""
    name: str = ""
    """Who in that role, or which tool."""
    reasoning: Text = ""
    """What the model thought before it spoke, where it shows that."""
    refusal: Text = ""
    """The words of a refusal, where the model gives them apart."""
    annotations: tuple[Annotation, ...] = ()
    """Where an answer says its parts come from."""
    metadata: JsonObject = Field(default_factory=empty)

    @property
    def text(self) -> str:
        """The text of all its parts."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))

    @classmethod
    def system(cls, text: str) -> "ChatMessage":
        """A system message."""
        return cls(role=MessageRole.SYSTEM, content=text)

    @classmethod
    def user(cls, content: str | tuple[ContentPart, ...]) -> "ChatMessage":
        """A user's message."""
        return cls(role=MessageRole.USER, content=content)

    @classmethod
    def assistant(cls, text: str) -> "ChatMessage":
        """An assistant's message."""
        return cls(role=MessageRole.ASSISTANT, content=text)
