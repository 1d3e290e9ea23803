"""What is said about a file that cannot be used, when the store starts."""

# ruff: noqa: ASYNC240 - a test may wait for the disk: nothing else runs meanwhile

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from dovetail import NotReady, PluginError
from dovetail_sqlite import SqliteSettings
from plugins.sqlite.tests.samples import ask, history, locked, turn, with_turns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from plugins.sqlite.tests.conftest import Open

NOBODY = 65534


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Rights count: root, who may do anything, is nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    shut = [path for path in folder.parents if not path.stat().st_mode & stat.S_IXOTH]
    theirs = [folder, *folder.iterdir()]
    before = {path: path.stat() for path in (*shut, *theirs)}
    for path in shut:
        path.chmod(0o755)
    for path in theirs:
        os.chown(path, NOBODY, -1)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        for path, was in before.items():
            path.chmod(stat.S_IMODE(was.st_mode))
            os.chown(path, was.st_uid, -1)


async def test_it_makes_the_file_for_its_user_alone(opened: Open, file: Path) -> None:
    store = await opened()
    await with_turns(store, "a", 1)
    made = sorted(path for path in file.parent.iterdir() if path.name.startswith(file.name))
    assert file in made
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}


async def test_it_leaves_the_rights_of_a_file_that_is_there(opened: Open, file: Path) -> None:
    file.touch()
    file.chmod(0o660)
    await opened()
    assert stat.S_IMODE(file.stat().st_mode) == 0o660


async def test_its_path_may_hold_anything(opened: Open, tmp_path: Path) -> None:
    odd = tmp_path / "100% sure? #1 & 'quoted' é💬.db"
    store = await opened(path=str(odd))
    await with_turns(store, "a", 1)
    assert odd.exists()


async def test_a_relative_path_stays_where_it_was(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = await opened(path="here.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    await with_turns(store, "a", 1)
    assert await history(store, "a") == ["question 0", "answer 0"]
    assert (tmp_path / "here.db").exists()


async def test_a_folder_is_no_file(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="is a folder: name a file in `path`"):
        await opened(path=str(tmp_path))


async def test_a_missing_folder_is_named(opened: Open, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(PluginError, match=re.escape(f"there is no folder `{missing}`: make it")):
        await opened(path=str(missing / "sessions.db"))
    assert not missing.exists()


async def test_a_name_that_is_too_long_is_said_to_be(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot be used: File name too long"):
        await opened(path=str(tmp_path / ("x" * 300)))


async def test_a_file_that_is_no_database_is_left_alone(opened: Open, file: Path) -> None:
    file.write_text("Dear diary, " * 100)
    with pytest.raises(PluginError, match="is no SQLite database: name another file"):
        await opened()
    assert file.read_text() == "Dear diary, " * 100


async def test_another_programs_database_is_left_alone(opened: Open, file: Path) -> None:
    ask(file, "CREATE TABLE sessions (theirs TEXT)")
    with pytest.raises(PluginError, match=r"is another program's database .*sessions already"):
        await opened()
    assert ask(file, "SELECT name FROM sqlite_master") == [("sessions",)]


async def test_a_damaged_database_is_said_to_be(opened: Open, file: Path) -> None:
    await (await opened()).stop()
    content = bytearray(file.read_bytes())
    content[100:4096] = b"\xff" * 3996
    file.write_bytes(content)
    with pytest.raises(PluginError, match=r"is damaged .*: put a backup in its place"):
        await opened()


async def test_a_read_only_file_is_said_to_be(opened: Open, file: Path) -> None:
    await (await opened()).stop()
    file.chmod(0o400)
    with (
        unprivileged(file.parent),
        pytest.raises(PluginError, match="may not be both read and written: give this user"),
    ):
        await opened()


async def test_a_read_only_folder_is_said_to_be(opened: Open, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o500)
    with (
        unprivileged(folder),
        pytest.raises(PluginError, match=r"let this user write to `.*closed`"),
    ):
        await opened(path=str(folder / "sessions.db"))


async def test_a_locked_file_may_be_free_later(opened: Open, file: Path) -> None:
    await (await opened()).stop()
    with locked(file), pytest.raises(NotReady, match="was locked by another process"):
        await opened(busy_timeout="300ms")
    store = await opened()
    await store.append(await with_turns(store, "a", 1), turn(1))


@pytest.mark.parametrize("path", ["", ":memory:", "file:x.db?mode=memory", "a\0b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="path"):
        SqliteSettings(path=path)
