"""What an operator may write about a server that speaks OpenAI's language."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from dovetail import HttpOptions, Settings


def _is_base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = "should be an address such as https://api.openai.com/v1"
        raise ValueError(message)
    if parts.query or parts.fragment or "@" in parts.netloc:
        message = "should hold no key and no query; a key belongs in `api_key`"
        raise ValueError(message)
    return url.rstrip("/")


class OpenAISettings(Settings):
    """Where the server is, who asks, and what is peculiar to it."""

    base_url: Annotated[str, AfterValidator(_is_base_url)] = Field(
        default="https://api.openai.com/v1",
        description="The server's address, with the path that comes before `/chat/completions`; "
        "for Azure the resource's address.",
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="The key, such as `${OPENAI_API_KEY}`. Servers of one's own often need none.",
    )
    organisation: str = Field(default="", description="The OpenAI organisation that pays.")
    project: str = Field(default="", description="The OpenAI project that pays.")
    headers: dict[str, SecretStr] = Field(
        default={}, description="More headers for every request; shown nowhere."
    )
    body: dict[str, Any] = Field(
        default={}, description="More fields for the body of every chat request."
    )
    model: str = Field(default="", description="The model of a request that names none.")
    embedding_model: str = Field(
        default="", description="The model of embeddings that name none. Default: as `model`."
    )
    models: tuple[str, ...] = Field(
        default=(),
        description="The models to list where the server does not list its own, as Azure's "
        "deployments.",
    )
    context_window: int | None = Field(
        default=None,
        ge=1,
        description="Tokens that prompt and answer may take together, so that a long history is "
        "fitted to it. Default: it is not known, and the server refuses what is too long.",
    )
    api: Literal["auto", "openai", "azure"] = Field(
        default="auto",
        description="The shape of addresses and of the key's header. `auto` knows Azure by its "
        "host's name.",
    )
    api_version: str = Field(
        default="2024-10-21", description="Azure's `api-version`, where its addresses have one."
    )
    max_tokens_field: Literal["auto", "max_tokens", "max_completion_tokens"] = Field(
        default="auto",
        description="What the server calls a request's `max_tokens`. `auto`: "
        "`max_completion_tokens` for OpenAI and Azure, else `max_tokens`.",
    )
    stream_usage: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether to ask for token counts in streams by `stream_options`, which a few "
        "servers refuse. `auto`: yes, except where it is known to be refused.",
    )
    reasoning_field: Literal["", "reasoning", "reasoning_content"] = Field(
        default="",
        description="The field in which earlier answers' reasoning is sent back. Default: it is "
        "not, since OpenAI refuses it and most servers do not need it.",
    )
    embedding_batch: int = Field(
        default=2048, ge=1, description="How many texts one embedding request may hold."
    )
    http: HttpOptions = Field(
        default_factory=HttpOptions, description="Connections and time limits."
    )
