"""A contract comes to its end whatever a plugin does with cancellation."""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SWALLOWS = """
    import asyncio

    import pytest

    from dovetail import ChatProvider, StreamingChunk
    from dovetail.testing import ChatProviderContract, Subject, plugin_of


    class Swallows(ChatProvider):
        async def send_message_stream(self, request, context):
            yield StreamingChunk(text="so far")
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    pass


    class TestSwallows(ChatProviderContract):
        patience = 1.0

        @pytest.fixture
        def subject(self):
            return Subject(plugin_of(Swallows))
"""


@pytest.mark.parametrize(
    "test", ["closing_leaves_nothing_behind", "the_finish_reason_comes_once_and_last"]
)
def test_a_provider_that_swallows_cancellation_fails_and_is_told_how_to_mend_it(
    tmp_path: Path, test: str
) -> None:
    (tmp_path / "test_swallows.py").write_text(dedent(SWALLOWS), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-k", test, "test_swallows.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=45,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "within 1 s" in done.stdout
    assert "let `CancelledError` through" in done.stdout
    assert "Swallows.send_message_stream" in done.stdout or "goes on" in done.stdout
