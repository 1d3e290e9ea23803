"""It keeps what every middleware promises."""

from pathlib import Path

import pytest

from dovetail.testing import MiddlewareContract, Subject


class TestLogging(MiddlewareContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return Subject("logging", settings={"file": str(tmp_path / "chat.log"), "content": True})
