"""What every `ModuleRepository` has to do, as tests.

A plugin that offers one inherits from `ModuleRepositoryContract` and overrides `repository`; one
whose documents outlast it sets `durable` and gives `again`, a second one on the same data.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dovetail_modules import ModuleRepository

NAMES = ["a", "B", "größe", "日本語", "_x", "a-b", "x" * 100]
DOCUMENTS = [
    "{}",
    '{"content": "\\u0000 und \\ud83d\\ude00"}',
    "ü" * 100_000,
    "'; DROP TABLE x; --",
]


class ModuleRepositoryContract:
    """Inherit it, with a fixture `repository` that gives an empty one."""

    durable = False

    @pytest.fixture
    async def repository(self) -> Any:
        """An empty repository, ready for use."""
        raise AssertionError("override `repository`")

    @pytest.fixture
    async def again(self) -> Any:
        """A second repository on the same data, if it is `durable`."""
        assert not self.durable, "override `again`"

    async def test_what_is_kept_is_read_as_it_was(self, repository: ModuleRepository) -> None:
        for name in NAMES:
            for version, document in enumerate(DOCUMENTS, 1):
                before = datetime.now(UTC) - timedelta(seconds=5)
                at = await repository.append(name, version, document)
                assert at is not None
                assert at.utcoffset() == timedelta(0)
                assert before < at < before + timedelta(minutes=1)
                assert await repository.read(name) == (name, version, at, document)
        assert [row[0] for row in await repository.latest()] == sorted(NAMES)
        for name in NAMES:
            for version, document in enumerate(DOCUMENTS, 1):
                row = await repository.read(name, version)
                assert row is not None
                assert row[3] == document

    async def test_what_is_not_there_is_none(self, repository: ModuleRepository) -> None:
        await repository.append("a", 1, "{}")
        assert await repository.read("b") is None
        assert await repository.read("a", 2) is None
        assert await repository.read("A") is None
        assert list(await repository.versions("b")) == []
        assert list(await repository.latest(after="a")) == []

    async def test_only_the_next_version_is_kept(self, repository: ModuleRepository) -> None:
        assert await repository.append("a", 2, "{}") is None
        assert await repository.append("a", 0, "{}") is None
        assert await repository.append("a", 1, "one") is not None
        assert await repository.append("a", 1, "other") is None
        assert await repository.append("a", 3, "other") is None
        row = await repository.read("a")
        assert row is not None
        assert row[1::2] == (1, "one")

    async def test_of_many_who_write_the_same_version_one_succeeds(
        self, repository: ModuleRepository
    ) -> None:
        for version in range(1, 6):
            texts = [f"{version}-{number}" for number in range(20)]
            done = await asyncio.gather(*(repository.append("a", version, t) for t in texts))
            (winner,) = (text for text, at in zip(texts, done, strict=True) if at is not None)
            row = await repository.read("a")
            assert row is not None
            assert row[3] == winner

    async def test_a_deletion_is_a_version(self, repository: ModuleRepository) -> None:
        await repository.append("a", 1, "one")
        await repository.append("b", 1, "b")
        assert await repository.append("a", 2, None) is not None
        assert [row[0] for row in await repository.latest()] == ["b"]
        row = await repository.read("a")
        assert row is not None
        assert row[1::2] == (2, None)
        assert await repository.append("a", 1, "new") is None
        assert await repository.append("a", 3, "new") is not None
        assert [row[1::2] for row in await repository.versions("a")] == [
            (3, "new"),
            (2, None),
            (1, "one"),
        ]
        assert [row[0] for row in await repository.latest()] == ["a", "b"]

    async def test_names_come_in_pages(self, repository: ModuleRepository) -> None:
        names = sorted(f"m{number}" for number in range(25))
        for name in names:
            await repository.append(name, 1, "{}")
        found: list[str] = []
        while page := await repository.latest(after=found[-1] if found else "", limit=10):
            assert len(page) <= 10
            found += [row[0] for row in page]
        assert found == names

    async def test_old_versions_are_let_go(self, repository: ModuleRepository) -> None:
        for version in range(1, 8):
            await repository.append("a", version, str(version), keep=3)
        assert [row[1] for row in await repository.versions("a")] == [7, 6, 5]
        assert [row[1] for row in await repository.versions("a", limit=2)] == [7, 6]
        assert await repository.read("a", 4) is None
        assert await repository.append("a", 5, "x") is None

    async def test_the_revision_changes_with_everything_written(
        self, repository: ModuleRepository
    ) -> None:
        seen = [await repository.revision()]
        for version, document in enumerate(("one", None, "two"), 1):
            await repository.append("a", version, document, keep=1)
            seen.append(await repository.revision())
        await repository.append("a", 9, "refused")
        assert len(set(seen)) == 4
        assert await repository.revision() == seen[-1]

    async def test_what_is_kept_outlasts_the_repository(
        self, repository: ModuleRepository, again: ModuleRepository | None
    ) -> None:
        if again is None:
            return
        await repository.append("a", 1, "one")
        row = await again.read("a")
        assert row is not None
        assert row[3] == "one"
        assert await again.revision() == await repository.revision()
        assert await again.append("a", 2, "two") is not None
        assert await repository.append("a", 2, "other") is None
