"""A kernel with one persona, whose modules a test writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plugins.modules.tests.world import World

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
