"""The plugin keeps the contract that every session store must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail.testing import SessionStoreContract, Subject

if TYPE_CHECKING:
    from plugins.redis.tests.servers import RedisServer


class TestRedis(SessionStoreContract):
    durable = True

    @pytest.fixture
    def subject(self, shared: RedisServer, prefix: str) -> Subject:
        return Subject("redis", {"url": shared.url, "prefix": prefix})
