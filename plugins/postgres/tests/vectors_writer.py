"""A process that puts items in and says which are kept.

Its arguments: URL SCHEMA COUNT.
"""

from __future__ import annotations

import asyncio
import sys

from dovetail_postgres import PostgresPool, PostgresSettings
from dovetail_postgres.vectors import PostgresVectors
from dovetail_vectorstore.testing import row


async def main(url: str, schema: str, count: int) -> None:
    vectors = PostgresVectors()
    vectors.shared = PostgresPool()
    vectors.shared.settings = PostgresSettings.model_validate({"url": url, "schema": schema})
    await vectors.open()
    for number in range(count):
        rows = [row(f"text {number} {n}", [1, n, number]) for n in range(3)]
        await vectors.put("docs", rows, model="m")
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    await vectors.shared.stop()


if __name__ == "__main__":
    url, schema, count = sys.argv[1:]
    asyncio.run(main(url, schema, int(count)))
