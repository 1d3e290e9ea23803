"""The plugin keeps the contract that every session store must keep, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail.testing import SessionStoreContract, Subject

if TYPE_CHECKING:
    from plugins.postgres.tests.server import Server


class TestSessions(SessionStoreContract):
    durable = True

    @pytest.fixture
    def subject(self, server: Server) -> Subject:
        return Subject("postgres", {"url": server.url})
