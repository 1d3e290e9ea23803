"""What an operator may write about an Ollama server."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, TypeAdapter, WithJsonSchema

from dovetail import Duration, HttpOptions, Settings

PORT = 11434
"""Where Ollama listens unless it is told otherwise."""

_POSITIVE: TypeAdapter[float] = TypeAdapter(Duration)


def _keep_alive(value: Any) -> float:
    """Seconds; Ollama's own texts cannot hold days, nor a bare number."""
    if isinstance(value, str) and value.strip().startswith("-"):
        return -_POSITIVE.validate_python(value.strip()[1:])
    if isinstance(value, int | float) and value < 0:
        return float(value)
    return _POSITIVE.validate_python(value)


KeepAlive = Annotated[
    float,
    BeforeValidator(_keep_alive),
    WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "string", "examples": ["5m", "24h", "-1"]}]}
    ),
]
"""Seconds that a model stays in memory: 0 unloads it at once, a negative number keeps it."""


def _base_url(text: str) -> str:
    """An address as `OLLAMA_HOST` has it, too: without a scheme, or without a port."""
    full = text if "://" in text else f"http://{text}"
    url = urlsplit(full)
    if url.scheme not in ("http", "https") or not url.hostname:
        message = "should be an address such as http://127.0.0.1:11434"
        raise ValueError(message)
    if url.username or url.password:
        message = "should hold no password: write it as `api_key`, or in `headers`"
        raise ValueError(message)
    if url.port is None and "://" not in text:
        url = url._replace(netloc=f"{url.netloc}:{PORT}")
    path = url.path.rstrip("/")
    if path.endswith("/v1"):
        message = "should not end with /v1: that is Ollama's copy of another API"
        raise ValueError(message)
    return f"{url.scheme}://{url.netloc}{path.removesuffix('/api')}"


def _options(options: dict[str, Any]) -> dict[str, Any]:
    if "num_ctx" in options:
        message = "should not hold `num_ctx`: it is a setting of its own, beside `options`"
        raise ValueError(message)
    return options


class OllamaSettings(Settings):
    """Which Ollama server to talk to, and how its models are to run."""

    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        default=f"http://127.0.0.1:{PORT}",
        description="Where the server is; `${OLLAMA_HOST}` may be written here.",
    )
    model: str = Field(default="", description="The model to use when a request names none.")
    embedding_model: str = Field(
        default="", description="The model for embeddings when a request names none."
    )
    num_ctx: int | None = Field(
        default=None,
        ge=64,
        description="Tokens of prompt and answer together. It is sent with every request, since "
        "Ollama cuts what does not fit. Default: what the model's own parameters say, else what it "
        "was trained on, at most 4096.",
    )
    truncate: bool = Field(
        default=True,
        description="Whether Ollama may cut a prompt that does not fit, and go on when an answer "
        "fills the window, by forgetting what came first. If not, a prompt that is too long is an "
        "error; older versions of Ollama cut all the same.",
    )
    keep_alive: KeepAlive | None = Field(
        default=None,
        description="How long a model stays in memory after a request: seconds, or text such as "
        '"30m"; 0 unloads it at once, a negative number keeps it for ever. Default: as the server '
        "says, five minutes.",
    )
    think: bool | Literal["low", "medium", "high"] | None = Field(
        default=None,
        description="Whether, or how much, a model that can think does so first, unless a request "
        "says. Default: as the model does by itself.",
    )
    options: Annotated[dict[str, Any], AfterValidator(_options)] = Field(
        default={},
        description="Ollama's own parameters, such as `top_k` or `num_gpu`; a request's win.",
    )
    headers: dict[str, SecretStr] = Field(
        default={}, description="More headers for every request, for a proxy in front of Ollama."
    )
    api_key: SecretStr | None = Field(
        default=None, description="A key to send as Bearer token, for ollama.com or a proxy."
    )
    http: HttpOptions = Field(
        default_factory=HttpOptions, description="Connections, time limits and proxies."
    )
