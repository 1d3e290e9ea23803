"""What went wrong between us and the server, in a sentence, and whether it may pass."""

from __future__ import annotations

import ssl
from typing import Any

import asyncpg

from dovetail_postgres.errors import DatabaseAway, DatabaseError

_MAY_PASS = {
    "25006",  # it only reads: after a fail-over the next connection may be to the new primary
    "40001",  # serialisation failed, if the server's default isolation is so strict
    "40P01",  # a deadlock
    "53300",  # too many connections
    "57P01",  # it is shut down
    "57P02",  # it crashed
    "57P03",  # it starts
    "57P05",  # it closed a connection that was idle
}
_HINTS = {
    "22021": "the database must be in UTF8",
    "22P05": "the database must be in UTF8",
    "25006": "it only reads, as replicas do: name the primary in `url`",
    "26000": "behind a pooler such as pgbouncer set `statement_cache_size = 0`",
    "28000": "see `url`, and the server's pg_hba.conf",
    "28P01": "see user and password in `url`, or PGUSER and PGPASSWORD",
    "3D000": "create it (createdb), or name another in `url`",
    "3F000": "dovetail makes what is missing when it starts: start it again",
    "42501": "grant the user of `url` what it lacks, or name another",
    "42P01": "dovetail makes what is missing when it starts: start it again",
    "42P05": "behind a pooler such as pgbouncer set `statement_cache_size = 0`",
    "53100": "make room on the server's disk",
    "53300": "lower `pool_size`, or raise the server's `max_connections`",
    "55P03": "somebody else changes the same, or see the server's `lock_timeout`; try again later",
    "57014": "see the server's `statement_timeout`",
    "57P03": "it may be ready soon",
}


def failure_of(error: Exception, address: str) -> DatabaseError | None:
    """What to raise for `error`; None if it is not about the database."""
    where = f"PostgreSQL at {address}"
    if isinstance(error, asyncpg.PostgresError):
        return _refusal(error, where)
    if isinstance(error, OSError):
        return _absence(error, where)
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        return DatabaseError(f"{where} cannot be asked: {error}")
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return DatabaseAway(f"the connection to {where} broke: {error}")
    return None


def is_refusal(error: BaseException) -> bool:
    """Whether the server answered with an error, and the connection is as good as before."""
    return isinstance(error, asyncpg.PostgresError) and not _may_pass(error)


def _refusal(error: Any, where: str) -> DatabaseError:
    said = getattr(error, "message", None) or str(error)  # the server's other lines hold values
    hint = _HINTS.get(error.sqlstate or "", "")
    text = f"{where}: {said}; {hint}" if hint else f"{where}: {said}"
    failure = DatabaseAway(text) if _may_pass(error) else DatabaseError(text)
    failure.constraint = getattr(error, "constraint_name", None) or ""
    return failure


def _absence(error: OSError, where: str) -> DatabaseError:
    if isinstance(error, TimeoutError):
        return DatabaseAway(
            f"{where} gave no answer in time: it cannot be reached, has too much to do, or every "
            "connection of the pool is in use (see `timeout` and `pool_size`)"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return DatabaseError(f"{where} is not trusted: {error}; see `sslrootcert` in `url`")
    return DatabaseAway(f"{where} cannot be reached: {error}; is it running, and `url` right?")


def _may_pass(error: Any) -> bool:
    state: str = error.sqlstate or ""
    return state in _MAY_PASS or state.startswith("08")
