"""What Ollama tells of its models, as far as it is used here."""

from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dovetail import InvalidResponse

DEFAULT_NUM_CTX = 4096
"""Ollama's own default on a small machine."""


class Told(BaseModel):
    """The base of them; what is not used is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Details(Told):
    """What kind of model it is."""

    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None


class LocalModel(Told):
    """A model on the server's disk (`/api/tags`)."""

    name: str = Field(min_length=1)
    size: int = 0
    """Bytes."""
    modified_at: datetime | None = None
    details: Details | None = None


class RunningModel(Told):
    """A model in the server's memory (`/api/ps`)."""

    name: str = Field(min_length=1)
    size: int = 0
    """Bytes."""
    size_vram: int = 0
    """Bytes of them that are in the GPU's memory."""
    context_length: int | None = None
    expires_at: datetime | None = None


class ModelCard(Told):
    """What a model says of itself (`/api/show`)."""

    parameters: str | None = None
    """Its own parameters, a line each: name and value."""
    details: Details | None = None
    model_info: dict[str, Any] | None = None
    capabilities: tuple[str, ...] | None = None

    @property
    def context_length(self) -> int | None:
        """Tokens it was trained on."""
        info = self.model_info or {}
        architecture = info.get("general.architecture")
        length = info.get(f"{architecture}.context_length")
        return length if isinstance(length, int) and length > 0 else None

    @property
    def num_ctx(self) -> int:
        """Tokens to ask for unless the operator says: its own parameter, else a modest window."""
        for line in (self.parameters or "").splitlines():
            name, _, value = line.strip().partition(" ")
            if name == "num_ctx" and value.strip().isdigit():
                return int(value)
        return min(self.context_length or DEFAULT_NUM_CTX, DEFAULT_NUM_CTX)

    @property
    def embeds(self) -> bool:
        """Whether it is for embeddings only."""
        if self.capabilities is not None:
            return "embedding" in self.capabilities and "completion" not in self.capabilities
        family = (self.details and self.details.family) or ""
        return family.endswith("bert")


class LocalModels(Told):
    """The answer of `/api/tags`."""

    models: tuple[LocalModel, ...] | None = None


class RunningModels(Told):
    """The answer of `/api/ps`."""

    models: tuple[RunningModel, ...] | None = None


T = TypeVar("T", bound=Told)


def read(kind: type[T], value: object) -> T:
    """`value`, an answer's JSON, as `kind`.

    Raises:
        InvalidResponse: it is not what Ollama says.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        message = f"this is not how Ollama answers: {where}: {first['msg']}"
        raise InvalidResponse(message) from error
