"""What stands in the way of vectors in a database is told when they are first asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dovetail_vectorstore.errors import VectorStoreError
from dovetail_vectorstore.testing import axis, row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from plugins.postgres.tests.conftest import OpenVectors
    from plugins.postgres.tests.server import Server

NO_EXTENSION = """
CREATE FUNCTION missing() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'extension "vector" is not available' USING ERRCODE = 'feature_not_supported';
END $$;
CREATE EVENT TRIGGER missing ON ddl_command_start WHEN TAG IN ('CREATE EXTENSION')
    EXECUTE FUNCTION missing();
"""
"""What a server without pgvector does."""


@pytest.fixture
async def database(server: Server, sql: Any, schema: str) -> AsyncIterator[Any]:
    """A connection to a database of its own, which has the name of the schema."""
    import asyncpg

    await sql.execute(f"CREATE DATABASE {schema}")
    connection = await asyncpg.connect(server.url_of(database=schema))
    yield connection
    await connection.close()


async def test_processes_that_start_together_make_the_tables_once(
    server: Server, opened_vectors: OpenVectors, database: Any, schema: str
) -> None:
    url = server.url_of(database=schema)
    opening = (opened_vectors(url=url, schema=name) for name in ("one", "one", "two", "two"))
    stores = await asyncio.gather(*opening)
    for vectors in stores:
        assert await vectors.collections() == []
    assert await database.fetchval("SELECT count(*) FROM one.migrations") == 1


async def test_a_server_without_the_extension_is_told_with_what_to_install(
    server: Server, opened_vectors: OpenVectors, database: Any, schema: str
) -> None:
    await database.execute(NO_EXTENSION)
    with pytest.raises(VectorStoreError, match=r"install pgvector, 0\.8 or newer"):
        await opened_vectors(url=server.url_of(database=schema))
    await database.execute("DROP EVENT TRIGGER missing")
    await opened_vectors(url=server.url_of(database=schema))


async def test_a_user_who_may_not_make_what_is_missing_is_told(
    server: Server, opened_vectors: OpenVectors, database: Any, schema: str
) -> None:
    await database.execute(
        f"CREATE ROLE {schema} LOGIN; CREATE SCHEMA dovetail AUTHORIZATION {schema}"
    )
    url = server.url_of(schema, schema)
    with pytest.raises(VectorStoreError, match="have an administrator say `CREATE EXTENSION"):
        await opened_vectors(url=url, schema="dovetail")
    await database.execute("CREATE EXTENSION vector")
    vectors = await opened_vectors(url=url, schema="dovetail")
    assert await vectors.collections() == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            "UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'",
            r"has pgvector 0\.7\.4, and 0\.8 is needed",
        ),
        ("DROP EXTENSION vector CASCADE", "has the extension `vector` no more"),
    ],
)
async def test_an_extension_that_is_too_old_or_gone_is_told(
    server: Server,
    opened_vectors: OpenVectors,
    database: Any,
    schema: str,
    change: str,
    match: str,
) -> None:
    url = server.url_of(database=schema)
    await opened_vectors(url=url)
    await database.execute(change)
    with pytest.raises(VectorStoreError, match=match):
        await opened_vectors(url=url)


async def test_an_extension_where_nobody_looks_is_told(
    server: Server, opened_vectors: OpenVectors, database: Any, schema: str
) -> None:
    await database.execute("CREATE SCHEMA elsewhere; CREATE EXTENSION vector SCHEMA elsewhere")
    url = server.url_of(database=schema)
    with pytest.raises(VectorStoreError, match="in the schema `elsewhere`, where it is not looked"):
        await opened_vectors(url=url)
    await database.execute(f"ALTER DATABASE {schema} SET search_path = public, elsewhere")
    vectors = await opened_vectors(url=url)
    await vectors.put("docs", [row("text", axis(0))], model="m")
    assert await vectors.rebuild("docs") == 1
