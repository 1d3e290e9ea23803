"""The README says what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail import Kernel
from dovetail.testing import FakeModel, fake_plugin
from dovetail_sqlite import SqliteModules, SqliteSettings
from plugins.sqlite.tests.samples import ask

if TYPE_CHECKING:
    import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
CHAT = '[chat]\nmodel = "fake"\n[providers.fake]\n'


def table(heading: str) -> list[list[str]]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


async def talk(folder: Path) -> None:
    """Say hello twice, each time in a new kernel with the README's config."""
    (example,) = re.findall(r"^```toml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    file = folder / "dovetail.toml"
    file.write_text(CHAT + example, encoding="utf-8")
    for count in (2, 4):
        kernel = Kernel.open(file, env={})
        kernel.register("fake", fake_plugin(FakeModel()))
        async with kernel:
            await kernel.chat("Hello", session="work")
            session = await kernel.sessions.get_session("work")
        assert session is not None
        assert session.message_count == count


async def test_its_example_keeps_a_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await talk(tmp_path)


async def test_its_table_lists_every_setting_with_its_default() -> None:
    listed = {
        key.strip("`"): json.loads(default.strip("`")) for key, default, _ in table("Settings")
    }
    assert listed == json.loads(SqliteSettings().model_dump_json())


async def test_its_tables_and_places_are_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await talk(tmp_path)
    modules = SqliteModules()
    modules.settings = SqliteSettings()
    await modules.append("greeting", 1, "{}")
    await modules.stop()
    file = tmp_path / "dovetail.db"
    made = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    assert sorted(name for (name,) in ask(file, made)) == sorted(
        row[0].strip("`") for row in table("What is kept where")
    )
    ((key, count),) = ask(file, "SELECT key, message_count FROM sessions")
    assert count == 4
    assert ask(file, "SELECT place FROM turns") == [(key * 2**32,), (key * 2**32 + 2,)]
    ((said,),) = ask(file, "SELECT messages FROM turns LIMIT 1")
    assert [message["content"] for message in json.loads(said)] == ["Hello", "Hello"]


async def test_its_backup_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await talk(tmp_path)
    (command,) = re.findall(r"`sqlite3 dovetail\.db \"(VACUUM INTO '.*?')\"`", README)
    ask(tmp_path / "dovetail.db", command)
    assert ask(tmp_path / "backup.db", "SELECT message_count FROM sessions") == [(4,)]
