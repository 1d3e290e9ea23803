"""What an operator may write in `[sessions]` with `use = "redis"`."""

from typing import Annotated
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import AfterValidator, Field, SecretStr

from dovetail import Duration, Settings

PORT = 6379
"""Where Redis listens unless it is told otherwise."""

_LIKE = "should be an address such as redis://:password@127.0.0.1:6379/0"


def _url(value: SecretStr) -> SecretStr:
    """Checked without a word of it: a mistake may put the password in any part."""
    try:
        parts = urlsplit(value.get_secret_value())
        number = parts.port
    except ValueError:
        number, parts = -1, SplitResult("", "", "", "", "")
    if number == -1 or parts.fragment:
        message = f"{_LIKE}; in a password write `#`, `/`, `?` and `@` as %23, %2F, %3F and %40"
        raise ValueError(message)
    if parts.scheme == "unix":
        if not parts.path or parts.hostname:
            message = "should name a socket by its whole path, as in unix:///run/redis.sock"
            raise ValueError(message)
    elif parts.scheme not in ("redis", "rediss") or not parts.hostname:
        message = f"{_LIKE} (rediss: with TLS, unix: a socket)"
        raise ValueError(message)
    elif parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        message = f"{_LIKE}, whose last part is a database's number"
        raise ValueError(message)
    for key in parse_qs(parts.query):
        if key not in ("db", "client_name") and not key.startswith("ssl_"):
            message = "should have only `db`, `client_name` and `ssl_…` behind its `?`"
            raise ValueError(message)
    return value


def _prefix(text: str) -> str:
    if "{" in text or "}" in text:
        message = "should hold no brace: in a cluster braces say where a key is kept"
        raise ValueError(message)
    return text


class RedisSettings(Settings):
    """Which Redis server keeps the sessions, and how long it is waited for."""

    url: Annotated[SecretStr, AfterValidator(_url)] = Field(
        default=SecretStr(f"redis://127.0.0.1:{PORT}/0"),
        description="Where the server is: redis://user:password@host:port/database, rediss:// with "
        "TLS, unix:///path of a socket. One node of a cluster is enough.",
    )
    prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        default="dovetail:",
        min_length=1,
        max_length=100,
        description="What the name of every key begins with. Hosts with the same prefix share "
        "their sessions.",
    )
    connections: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="How many connections may be open; what needs one more waits.",
    )
    timeout: Duration = Field(
        default=2.0,
        gt=0,
        description="How long a connection, or one answer, may take before it is tried again.",
    )
    retry_for: Duration = Field(
        default=5.0,
        gt=0,
        description="How long a server that is away is waited for, all attempts together. Keep it "
        "below `commit_timeout` of [kernel].",
    )


def address(url: SecretStr) -> str:
    """Where the server is, for messages: without user, password and options."""
    parts = urlsplit(url.get_secret_value())
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    number = parse_qs(parts.query).get("db", [parts.path.strip("/") or "0"])[0]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or PORT}/{number}"
