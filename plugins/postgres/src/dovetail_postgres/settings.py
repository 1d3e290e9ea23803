"""What an operator may write about a PostgreSQL server."""

import os
import re
from typing import Annotated
from urllib.parse import parse_qs, unquote

from pydantic import AfterValidator, Field, SecretStr

from dovetail import Duration, Settings

_URL = re.compile(
    r"postgres(?:ql)?://"
    r"(?:(?P<user>[^:@/?#]*)(?::[^@/?#]*)?@)?"
    r"(?P<hosts>(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#,]*)(?::[0-9]*)?"
    r"(?:,(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#,]*)(?::[0-9]*)?)*)"
    r"(?:/(?P<database>[^@?#]*))?"
    r"(?:\?(?P<query>[^@#]*))?"
)
"""Strict about where a password may be: one that is not escaped would be taken for something else,
and be shown."""


def _url(secret: SecretStr) -> SecretStr:
    if not _URL.fullmatch(secret.get_secret_value()):
        message = (
            "should be an address such as postgresql://user:password@host:5432/database; in a "
            "user or password, : / ? # @ are written as %3A %2F %3F %23 %40"
        )
        raise ValueError(message)
    return secret


class PostgresSettings(Settings):
    """Which PostgreSQL server to use, where in it, and how long to wait for it."""

    url: Annotated[SecretStr, AfterValidator(_url)] | None = Field(
        default=None,
        description="The server, user and database: postgresql://user:password@host/database, with "
        "what libpq takes behind a `?`, such as `sslmode=verify-full`. Default: as the environment "
        "says (PGHOST, PGUSER, PGPASSWORD, PGDATABASE, …).",
    )
    schema_name: str = Field(
        default="dovetail",
        alias="schema",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="The schema that holds the tables; it is made if it is not there.",
    )
    pool_size: int = Field(
        default=10, ge=1, le=1000, description="How many connections this process opens at most."
    )
    timeout: Duration = Field(
        default=3.0,
        gt=0,
        description="How long one try of an operation may take, waiting for a free connection "
        "included.",
    )
    retry_for: Duration = Field(
        default=5.0,
        ge=0,
        description="How long an operation is tried again while the server is away; keep it below "
        "`commit_timeout` of [kernel].",
    )
    statement_cache_size: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="How many statements a connection keeps prepared; 0 behind a pooler that gives "
        "each transaction another connection (pgbouncer).",
    )


def address_of(url: SecretStr | None) -> str:
    """Where `url` leads, for people: without its password."""
    if url is None:
        names = ("PGSERVICE", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE")
        said = [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)]
        return f"the address of the environment ({' '.join(said) or 'it has no PGHOST'})"
    found = _URL.fullmatch(url.get_secret_value())
    if found is None:
        return "its address"
    hosts = unquote(found["hosts"] or parse_qs(found["query"] or "").get("host", [""])[-1])
    user = f"{unquote(found['user'])}@" if found["user"] else ""
    return f"{user}{hosts or 'localhost'}/{unquote(found['database'] or '')}"
