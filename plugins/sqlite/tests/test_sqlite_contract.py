"""The plugin keeps the contract that every session store must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail.testing import SessionStoreContract, Subject

if TYPE_CHECKING:
    from pathlib import Path


class TestSessions(SessionStoreContract):
    durable = True

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return Subject("sqlite", {"path": str(tmp_path / "sessions.db")})
