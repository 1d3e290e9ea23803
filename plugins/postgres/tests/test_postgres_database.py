"""The pool: what is done on a connection, and what becomes of the connection."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from dovetail_postgres.errors import DatabaseAway, DatabaseError

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail_postgres.database import Connection
    from plugins.postgres.tests.conftest import OpenDatabase
    from plugins.postgres.tests.wire import Wire


async def backend(connection: Connection) -> int:
    """Which process of the server is at the other end."""
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return pid


async def test_a_pool_without_a_free_connection_says_so(opened_database: OpenDatabase) -> None:
    database = await opened_database(pool_size=1, timeout=0.2, retry_for=0)
    taken, done = asyncio.Event(), asyncio.Event()

    async def work(_: object) -> None:
        taken.set()
        await done.wait()

    working = asyncio.create_task(database.run(work, timeout=30))
    await taken.wait()
    with pytest.raises(DatabaseAway, match="every connection of the pool is in use"):
        await database.run(backend)
    done.set()
    await working
    assert await database.run(backend)


async def test_an_error_of_the_caller_is_its_own(opened_database: OpenDatabase) -> None:
    database = await opened_database(pool_size=1)

    async def work(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.run(work)
    assert await database.run(backend)


async def test_a_refusal_is_told_at_once_and_the_connection_stays(
    opened_database: OpenDatabase,
) -> None:
    database = await opened_database(pool_size=1, retry_for=600)
    before = await database.run(backend)
    async with asyncio.timeout(10):
        with pytest.raises(DatabaseError, match="division by zero") as caught:
            await database.run(lambda connection: connection.execute("SELECT 1 / 0"))
        with pytest.raises(DatabaseError, match="invalid input for query argument"):
            await database.run(lambda connection: connection.execute("SELECT $1::int", "one"))
    assert not isinstance(caught.value, DatabaseAway)
    assert await database.run(backend) == before


async def test_closing_twice_or_with_a_dead_connection_ends(
    opened_database: OpenDatabase, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail_postgres.database.CLOSE_SECONDS", 0.1)
    database = await opened_database(url=wire.url)
    asking = asyncio.Event()

    async def work(connection: Connection) -> None:
        asking.set()
        await connection.execute("SELECT pg_sleep(600)")

    stuck = asyncio.create_task(database.run(work, timeout=600))
    await asking.wait()
    wire.go_dead()
    async with asyncio.timeout(10):
        await database.close()
        await database.close()
        with pytest.raises(DatabaseError):
            await stuck


async def test_a_server_whose_certificate_is_nobodys_is_not_trusted(
    opened_database: OpenDatabase, tmp_path: Path
) -> None:
    authority, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    other.cert_pem.write_to_path(tmp_path / "other.pem")

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # the protocol's request for TLS
        writer.write(b"S")
        with pytest.raises((OSError, ssl.SSLError)):
            await writer.start_tls(context)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql://ada@127.0.0.1:{port}/chat?sslmode=verify-full&sslrootcert={tmp_path}/other.pem"
    async with server:
        with pytest.raises(DatabaseError, match=f"127.0.0.1:{port}/chat is not trusted") as caught:
            await opened_database(url=url)
    assert not isinstance(caught.value, DatabaseAway)
