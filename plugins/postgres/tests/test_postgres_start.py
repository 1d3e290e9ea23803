"""What is wrong with the address or the server is told when it starts, without the password."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from dovetail import Kernel, NotReady, PluginError, StartError
from dovetail.testing import fake_plugin
from dovetail_postgres import PostgresSettings
from dovetail_postgres.settings import address_of
from plugins.postgres.tests.sayings import loaded, said, session, turn
from plugins.postgres.tests.server import LOCKED_OUT

if TYPE_CHECKING:
    from plugins.postgres.tests.conftest import Open
    from plugins.postgres.tests.server import Server
    from plugins.postgres.tests.wire import Wire

PASSWORD = "hunter22"
WRONG_URLS = (
    f"mysql://ada:{PASSWORD}@db/chat",
    f"ada:{PASSWORD}@db/chat",
    f"postgresql://ada:{PASSWORD}@{PASSWORD}@db/chat",
    f"postgresql://ada:1/{PASSWORD}@db/chat",
    f"postgresql://ada:1?{PASSWORD}@db/chat",
    f"postgresql://ada:1#{PASSWORD}@db/chat",
    f"postgresql://ada:{PASSWORD}@db:five/chat",
    "",
)
ADDRESSES = {
    f"postgresql://ada:{PASSWORD}@db:5433/chat": "ada@db:5433/chat",
    f"postgres://ada:{PASSWORD}@[::1]:5433/chat?sslmode=require": "ada@[::1]:5433/chat",
    f"postgresql://ada:a%40{PASSWORD}@one,two:5433/chat": "ada@one,two:5433/chat",
    f"postgresql:///chat?host=/run/pg&user=ada&password={PASSWORD}": "/run/pg/chat",
    "postgresql://%2Frun%2Fpg/chat": "/run/pg/chat",
    "postgresql://": "localhost/",
}


@pytest.mark.parametrize("url", WRONG_URLS)
def test_an_address_that_is_none_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PostgresSettings.model_validate({"url": url})
    assert "should be an address such as postgresql://user:password@host:5432/database" in str(
        caught.value
    )
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_is_told_without_its_password(url: str) -> None:
    settings = PostgresSettings.model_validate({"url": url})
    assert address_of(settings.url) == ADDRESSES[url]
    assert PASSWORD not in repr(settings)


async def test_a_server_that_is_not_there_may_come_later(wire: Wire) -> None:
    wire.refuse()
    config = {
        "chat": {"model": "fake"},
        "providers": {"fake": {}},
        "sessions": {"use": "postgres", "url": wire.url},
    }
    kernel = Kernel.open(config, env={}).register("fake", fake_plugin())
    with pytest.raises(StartError) as caught:
        await kernel.start()
    await kernel.close()
    (failure,) = caught.value.failures
    assert isinstance(failure.cause, NotReady)
    where = f"PostgreSQL at postgres@127.0.0.1:{wire.port}/postgres"
    assert where in str(caught.value)
    assert PASSWORD not in str(caught.value)


async def test_a_host_that_nobody_knows_is_said(opened: Open) -> None:
    with pytest.raises(
        NotReady, match=r"at nowhere\.invalid/chat cannot be reached: .*is it running"
    ):
        await opened(url="postgresql://nowhere.invalid/chat", timeout=20)


async def test_a_wrong_password_is_said_and_not_shown(
    opened: Open, server: Server, sql: Any
) -> None:
    await sql.execute(f"CREATE ROLE {LOCKED_OUT} LOGIN PASSWORD 'right'")
    folder = Path(server.socket).parent
    url = f"postgresql://{LOCKED_OUT}:{PASSWORD}@/postgres?host={folder}"
    with pytest.raises(PluginError, match="password authentication failed") as caught:
        await opened(url=url)
    assert "see user and password in `url`, or PGUSER and PGPASSWORD" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert not isinstance(caught.value, NotReady)


async def test_a_database_that_does_not_exist_is_said(opened: Open, server: Server) -> None:
    with pytest.raises(PluginError, match='database "chat" does not exist; create it'):
        await opened(url=server.url_of(database="chat"))


async def test_a_user_who_may_not_make_the_schema_is_told(
    opened: Open, server: Server, sql: Any, schema: str
) -> None:
    await sql.execute(f"CREATE ROLE {schema} LOGIN")
    with pytest.raises(
        PluginError, match="permission denied for database postgres; grant the user"
    ):
        await opened(url=server.url_of(schema), schema=schema)


async def test_a_database_in_another_encoding_is_refused(
    opened: Open, server: Server, sql: Any, schema: str
) -> None:
    await sql.execute(f"CREATE DATABASE {schema} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(PluginError, match="is in LATIN1: create one in UTF8"):
        await opened(url=server.url_of(database=schema))


async def test_a_server_that_only_reads_is_not_ready(
    opened: Open, server: Server, sql: Any, schema: str
) -> None:
    await sql.execute(
        f"CREATE ROLE {schema} LOGIN; ALTER ROLE {schema} SET default_transaction_read_only = on"
    )
    with pytest.raises(NotReady, match="only reads, as replicas do: name the primary in `url`"):
        await opened(url=server.url_of(schema))


async def test_without_an_address_the_environment_tells_it(
    opened: Open, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", str(Path(server.socket).parent))
    monkeypatch.setenv("PGUSER", "postgres")
    monkeypatch.setenv("PGDATABASE", "postgres")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    store = await opened(url=None)
    kept = session()
    await store.append(kept, turn(0))
    assert await said(store, kept) == ["question 0", "answer 0"]
    monkeypatch.setenv("PGDATABASE", "chat")
    with pytest.raises(PluginError, match="PGUSER=postgres PGDATABASE=chat") as caught:
        await opened(url=None)
    assert PASSWORD not in str(caught.value)


async def test_it_works_without_prepared_statements(opened: Open) -> None:
    store = await opened(statement_cache_size=0)
    kept = await store.set(session(state={"n": 1}))
    for number in range(3):
        await store.append(kept, turn(number))
    found = await loaded(store, kept, 2)
    assert [message.text for message in found.history] == ["question 2", "answer 2"]


def test_an_address_is_a_secret() -> None:
    settings = PostgresSettings.model_validate({"url": "postgresql://ada:hunter22@db/chat"})
    assert isinstance(settings.url, SecretStr)
