"""What an operator may say about the network, in each network provider's table."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from dovetail.config.durations import Duration


def _is_proxy(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("http://", "https://", "socks5://")):
        message = "should begin with http://, https:// or socks5://"
        raise ValueError(message)
    return url


class HttpOptions(BaseModel):
    """How a provider's connections are made, and how long each step may take."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    connect: Duration = Field(
        default=10.0, gt=0, description="How long making a connection may take."
    )
    first_byte: Duration = Field(
        default=300.0,
        gt=0,
        description="How long the answer may take to begin; a local model first reads the prompt.",
    )
    between: Duration = Field(
        default=120.0,
        gt=0,
        description="How long a stream may be silent between two pieces of the answer; comments "
        "that keep the connection alive do not count.",
    )
    total: Duration | None = Field(
        default=None, gt=0, description="How long one request may take in all. Default: no limit."
    )
    transport: Literal["aiohttp", "httpx"] = Field(
        default="aiohttp",
        description="The library that moves bytes: `aiohttp` is several times faster, `httpx` has "
        "HTTP/2.",
    )
    http2: bool = Field(default=False, description="Use HTTP/2 where offered; means `httpx`.")
    proxy: Annotated[SecretStr, AfterValidator(_is_proxy)] | None = Field(
        default=None,
        description="The proxy's URL. Default: as HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, but "
        "never for an address of this machine.",
    )
    ca_file: str = Field(
        default="", description="A file with certificates to trust instead of the usual ones."
    )
    max_connections: int = Field(
        default=256, ge=1, description="Connections at the same time; further requests wait."
    )
