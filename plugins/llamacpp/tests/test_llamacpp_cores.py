"""How many threads compute unless the operator says.

A unit test: the machine that runs it has only one number of cores.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dovetail_llamacpp.cores import spare_threads

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_one_real_core_is_left_for_everything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for cpu in range(8):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n", encoding="ascii")
    assert spare_threads(tmp_path) == 3


def test_a_machine_that_does_not_tell_counts_every_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    assert spare_threads(tmp_path) == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5}, raising=False)
    assert spare_threads(tmp_path) == 1
