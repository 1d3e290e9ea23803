"""A process that keeps turns in a session and says which are kept.

Its arguments: URL SCHEMA SESSION FIRST COUNT.
"""

from __future__ import annotations

import asyncio
import sys

from dovetail import Session
from dovetail_postgres import PostgresSessionStore, PostgresSettings
from plugins.postgres.tests.sayings import turn


async def main(url: str, schema: str, session_id: str, first: int, count: int) -> None:
    store = PostgresSessionStore()
    store.settings = PostgresSettings.model_validate({"url": url, "schema": schema})
    await store.start()
    session = Session(session_id=session_id)
    for number in range(first, first + count):
        await store.append(session, turn(number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    await store.stop()


if __name__ == "__main__":
    url, schema, session_id, first, count = sys.argv[1:]
    asyncio.run(main(url, schema, session_id, int(first), int(count)))
