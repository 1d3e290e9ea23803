"""What a provider answers."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from dovetail.chat.frozen import empty
from dovetail.chat.messages import ChatMessage, JsonObject, Model


class FinishReason(StrEnum):
    """Why an answer ended. A provider's reason that is not listed passes through as text."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    CANCELLED = "cancelled"
    ERROR = "error"


_REASONS = {str(reason): reason for reason in FinishReason}


def known_reason(value: object) -> object:
    """The listed reason of this name, else the value itself."""
    return _REASONS.get(value, value) if isinstance(value, str) else value


class Usage(Model):
    """Tokens that were counted; a count the provider did not give is None."""

    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)
    total_tokens: int | None = Field(default=None, ge=0)
    cached_tokens: int | None = Field(default=None, ge=0)
    reasoning_tokens: int | None = Field(default=None, ge=0)
    extras: JsonObject = Field(default_factory=empty)


class TokenLogprob(Model):
    """How likely the model thought a token was."""

    token: str
    logprob: float
    """Natural logarithm of its probability."""
    bytes: tuple[int, ...] | None = None
    """The token's bytes, since one may be a part of a character."""
    top: tuple["TokenLogprob", ...] = ()
    """The likeliest tokens for its place."""
    extras: JsonObject = Field(default_factory=empty)
    """What the provider said besides."""


class Logprobs(Model):
    """Log probabilities of an answer's tokens, in order, where they were asked for."""

    content: tuple[TokenLogprob, ...] = ()
    refusal: tuple[TokenLogprob, ...] = ()


Reason = Annotated[FinishReason | str, BeforeValidator(known_reason)]


class Choice(Model):
    """One more answer to the same request, where several were asked for."""

    index: int
    """Its place among the answers; the first has 0."""
    message: ChatMessage
    finish_reason: Reason = FinishReason.STOP
    logprobs: Logprobs | None = None
    extras: JsonObject = Field(default_factory=empty)
    """What the provider said of this one besides."""

    @property
    def text(self) -> str:
        """The text of the answer."""
        return self.message.text


class ChatResponse(Model):
    """A whole answer."""

    message: ChatMessage
    finish_reason: Reason = FinishReason.STOP
    usage: Usage | None = None
    model: str = ""
    """The model that answered, in the provider's words."""
    provider: str = ""
    """The provider's instance name; the kernel fills it in."""
    request_id: str = ""
    """The request a host was asked; the kernel fills it in where it was made."""
    logprobs: Logprobs | None = None
    alternatives: tuple[Choice, ...] = ()
    """The answers after the first, if several were asked for; never kept in a session."""
    metadata: JsonObject = Field(default_factory=empty)
    """What middleware noted."""
    extras: JsonObject = Field(default_factory=empty)
    """What the provider said besides."""

    @property
    def text(self) -> str:
        """The text of the answer."""
        return self.message.text


class EmbeddingResponse(Model):
    """A vector for each input, in the same order."""

    embeddings: tuple[tuple[float, ...], ...]
    model: str = ""
    provider: str = ""
    usage: Usage | None = None
    metadata: JsonObject = Field(default_factory=empty)
    extras: JsonObject = Field(default_factory=empty)


class ModelInfo(Model):
    """A model that a provider offers."""

    id: str
    """Its name within the provider; `Kernel.models` puts `instance/` before it."""
    kind: str = "chat"
    """`chat`, `embedding`, or another word the provider uses."""
    context_window: int | None = None
    """Tokens of prompt and answer together, where known."""
    description: str = ""
