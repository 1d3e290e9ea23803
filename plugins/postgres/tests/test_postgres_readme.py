"""The README says what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import ChatMessage, Kernel
from dovetail.testing import fake_plugin
from dovetail_postgres import PostgresModules, PostgresPool, PostgresSettings
from dovetail_postgres.vectors import PostgresVectors
from dovetail_postgres.vectors.settings import PgvectorSettings
from dovetail_vectorstore.testing import row
from plugins.postgres.tests.sayings import session

if TYPE_CHECKING:
    from dovetail_postgres import PostgresSessionStore
    from plugins.postgres.tests.server import Server

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PAGE = (Path(__file__).parents[3] / "docs" / "vectorstore.md").read_text(encoding="utf-8")
REST = """
[chat]
model = "fake"

[providers.fake]
"""


def table(heading: str) -> dict[str, str]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip("| `"): row[1].strip("`") for row in rows}


async def test_its_example_keeps_a_conversation(server: Server, tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    file = tmp_path / "dovetail.toml"
    file.write_text(example + REST, encoding="utf-8")
    env = {"DATABASE_URL": server.url}
    for _ in range(2):
        async with Kernel.open(file, env=env).register("fake", fake_plugin()) as kernel:
            await kernel.chat("Hello", session="of the readme")
    async with Kernel.open(file, env=env).register("fake", fake_plugin()) as kernel:
        kept = await kernel.sessions.get_session("of the readme")
    assert kept is not None
    assert kept.message_count == 4


def test_its_table_lists_every_setting_with_its_default() -> None:
    listed = table("Settings")
    defaults = json.loads(PostgresSettings().model_dump_json(by_alias=True))
    assert defaults.pop("url") is None
    assert listed.pop("url") == "the environment's"
    assert {key: json.loads(text) for key, text in listed.items()} == defaults


@pytest.mark.parametrize("text", [README, PAGE], ids=["readme", "page"])
def test_a_table_lists_every_setting_of_vectors_with_its_default(text: str) -> None:
    rows = dict(re.findall(r"^\| `(m|ef_\w+)` \| `(\d+)` \|", text, re.MULTILINE))
    assert {key: int(shown) for key, shown in rows.items()} == PgvectorSettings().model_dump()


async def test_its_table_lists_every_table(store: PostgresSessionStore, sql: Any) -> None:
    modules = PostgresModules()
    modules.shared = PostgresPool()
    modules.shared.settings = store.settings
    await modules.append("greeting", 1, "{}")
    vectors = PostgresVectors()
    vectors.shared = modules.shared
    await vectors.put("docs", [row("a joint", [1, 0])], model="m")
    await modules.shared.stop()
    rows = await sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'dovetail'")
    numberless = {re.sub("^vectors_[0-9]+$", "vectors_1", name) for (name,) in rows}
    assert set(table("What is kept where")) == numberless


async def test_its_questions_have_answers(store: PostgresSessionStore, sql: Any) -> None:
    kept = session(state={"language": "Welsh"}, history=[ChatMessage.user("Bore da")])
    await store.set(kept)
    of_state, of_message = re.findall(r"`(SELECT state.*?)`.*?`(message::.*?)`", README)[0]
    assert ("Welsh",) in [tuple(row) for row in await sql.fetch(of_state)]
    ask = f"SELECT {of_message} FROM dovetail.messages WHERE message LIKE '%Bore da%'"
    assert await sql.fetchval(ask) == "Bore da"
