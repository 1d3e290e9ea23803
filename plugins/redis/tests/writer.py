"""A process that writes turns until somebody ends it, and says which were acknowledged.

`writer.py URL PREFIX SESSION FIRST COUNT`: turns FIRST, FIRST + 1, … of SESSION, each with a line
on stdout once it is kept; ten at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count

from dovetail_redis import RedisSessionStore, RedisSettings
from plugins.redis.tests.sayings import an_hour_long, turn

AT_ONCE = 10


async def write(url: str, prefix: str, session_id: str, first: int, many: int) -> None:
    store = RedisSessionStore()
    store.settings = RedisSettings.model_validate({"url": url, "prefix": prefix})
    await store.start()
    numbers = iter(range(first, first + many) if many else count(first))

    async def work() -> None:
        for number in numbers:
            await store.append(an_hour_long(session_id), turn(number))
            os.write(1, b"%d\n" % number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await store.stop()


if __name__ == "__main__":
    _, url, prefix, session_id, first, many = sys.argv
    asyncio.run(write(url, prefix, session_id, int(first), int(many)))
