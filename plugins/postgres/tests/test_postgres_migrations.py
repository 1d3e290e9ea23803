"""The tables make themselves, and grow without losing anything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import PluginError
from dovetail_postgres.errors import DatabaseError
from dovetail_postgres.migrations import migrate
from plugins.postgres.tests.sayings import said, session, turn

if TYPE_CHECKING:
    from dovetail_postgres.database import Database
    from plugins.postgres.tests.conftest import Open, OpenDatabase
    from plugins.postgres.tests.server import Server

FIRST = "CREATE TABLE {schema}.things (name text PRIMARY KEY)"
SECOND = "ALTER TABLE {schema}.things ADD COLUMN size integer NOT NULL DEFAULT 7"
BROKEN = "CREATE TABLE {schema}.others (name text); SELECT nonsense"


@pytest.fixture
async def database(opened_database: OpenDatabase, schema: str) -> Database:
    return await opened_database(schema=schema)


async def versions(sql: Any, schema: str) -> dict[str, int]:
    rows = await sql.fetch(f"SELECT component, version FROM {schema}.migrations")
    return {row["component"]: row["version"] for row in rows}


async def test_steps_are_applied_once(database: Database, sql: Any, schema: str) -> None:
    for _ in range(2):
        await migrate(database, "things", [FIRST])
    assert await versions(sql, schema) == {"things": 1}


async def test_new_steps_are_applied_to_what_is_there(
    database: Database, sql: Any, schema: str
) -> None:
    await migrate(database, "things", [FIRST])
    await sql.execute(f"INSERT INTO {schema}.things VALUES ('kept')")
    await migrate(database, "things", [FIRST, SECOND])
    assert [tuple(row) for row in await sql.fetch(f"SELECT * FROM {schema}.things")] == [
        ("kept", 7)
    ]
    assert await versions(sql, schema) == {"things": 2}


async def test_each_component_counts_its_own_steps(
    database: Database, sql: Any, schema: str
) -> None:
    await migrate(database, "things", [FIRST, SECOND])
    await migrate(database, "others", ["CREATE TABLE {schema}.others ()"])
    assert await versions(sql, schema) == {"things": 2, "others": 1}


async def test_many_that_start_at_once_wait_for_one_another(
    opened_database: OpenDatabase, sql: Any, schema: str
) -> None:
    async def start() -> None:
        await migrate(await opened_database(schema=schema), "things", [FIRST, SECOND])

    await asyncio.gather(*(start() for _ in range(8)))
    assert await versions(sql, schema) == {"things": 2}


async def test_a_step_that_fails_takes_back_those_before_it(
    database: Database, sql: Any, schema: str
) -> None:
    await migrate(database, "things", [FIRST])
    with pytest.raises(DatabaseError, match="nonsense"):
        await migrate(database, "things", [FIRST, SECOND, BROKEN])
    assert await versions(sql, schema) == {"things": 1}
    assert await sql.fetchval("SELECT to_regclass($1)::text", f"{schema}.others") is None
    await migrate(database, "things", [FIRST, SECOND])
    assert await versions(sql, schema) == {"things": 2}


async def test_a_database_that_is_newer_than_the_code_is_refused(
    opened: Open, sql: Any, schema: str
) -> None:
    store = await opened(schema=schema)
    kept = session()
    await store.append(kept, turn(0))
    await sql.execute(f"UPDATE {schema}.migrations SET version = 99")
    with pytest.raises(PluginError) as caught:
        await opened(schema=schema)
    assert str(caught.value).startswith(f"the schema `{schema}` at postgres@")
    assert "newer than this version of dovetail-postgres: `sessions` is at step 99" in str(
        caught.value
    )
    assert "update dovetail-postgres, or use another `schema`" in str(caught.value)
    assert await said(store, kept) == ["question 0", "answer 0"]


async def test_starting_again_keeps_what_is_there(opened: Open, schema: str) -> None:
    kept = session()
    await (await opened(schema=schema)).append(kept, turn(0))
    assert await said(await opened(schema=schema), kept) == ["question 0", "answer 0"]


async def test_a_user_who_may_make_no_tables_can_use_those_that_are_there(
    opened: Open, server: Server, sql: Any, schema: str
) -> None:
    await opened(schema=schema)
    await sql.execute(
        f"CREATE ROLE {schema} LOGIN;"
        f"GRANT USAGE ON SCHEMA {schema} TO {schema};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {schema}"
    )
    store = await opened(schema=schema, url=server.url_of(schema))
    kept = session()
    await store.append(kept, turn(0))
    assert await said(store, kept) == ["question 0", "answer 0"]
    assert await store.acquire_lease(kept.session_id, "a", 30) is True
    assert await store.delete(kept.session_id) is True
    assert await store.cleanup_expired() == 0
