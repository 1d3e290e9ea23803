"""What documents are called, and which of them are meant."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from plugins.vectorstore.tests.ingesting import SHARED, Library, library, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from dovetail_vectorstore.ingested import State


@pytest.fixture
async def shelf() -> AsyncIterator[Library]:
    async with library() as opened:
        yield opened


async def test_two_files_that_the_store_cannot_tell_apart_are_told(
    shelf: Library, tmp_path: Path
) -> None:
    names = [os.fsdecode(name) for name in (b"caf\xe8.md", b"caf\xe9.md")]
    write(tmp_path, dict.fromkeys(names, "words"))
    result = await shelf.ingestion.add([".", names[0]], scope=SHARED, base=tmp_path)
    assert (len(result.added), len(result.failed)) == (1, 1)
    assert result.failed[0].source == result.added[0]
    assert "rename" in result.failed[0].reason


async def test_pruning_a_folder_leaves_what_is_elsewhere(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, {"here/a.md": "words", "there/b.md": "words"})
    here = tmp_path / "here"
    await shelf.ingestion.add(["../there", "a.md"], scope=SHARED, base=here)
    for name in ("there/b.md", "here/a.md"):
        (tmp_path / name).unlink()
    result = await shelf.ingestion.add(["."], scope=SHARED, base=here, prune=True)
    assert result.removed == ["a.md"]
    result = await shelf.ingestion.add(["../there"], scope=SHARED, base=here, prune=True)
    assert result.removed == [(tmp_path / "there/b.md").as_posix()]


async def test_a_folder_may_be_excluded_with_a_slash_wherever_it_is(
    shelf: Library, tmp_path: Path
) -> None:
    write(tmp_path, dict.fromkeys(("a.md", "docs/drafts/b.md"), "words"))
    result = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path, exclude=["drafts/"])
    assert result.added == ["a.md"]


async def test_progress_is_told_of_many_that_are_unchanged(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, {f"{number}.md": "words" for number in range(600)})
    await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    states: list[State] = []
    result = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path, progress=states.append)
    assert len(result.unchanged) == 600
    assert len({state.done for state in states}) > 2
