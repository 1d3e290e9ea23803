"""The page on documents: with two lines changed they are in PostgreSQL."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

from tests.docs.test_sessions import dovetail
from tests.support.distributions import ROOT
from tests.support.servers import postgres

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
PAGE = (DOCS / "knowledge.md").read_text(encoding="utf-8")
EXAMPLE = (DOCS / "examples" / "knowledge" / "dovetail.toml").read_text(encoding="utf-8")
ADDRESS = "postgresql://127.0.0.1/dovetail"


def changed(config: str, address: str) -> str:
    """The example's config with the two lines of the page."""
    (block,) = re.findall(r"^```toml pgvector\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    vectors, _, server = block.partition("\n\n")
    assert config.count('[plugins.vectorstore]\npath = "knowledge"\n') == 1
    config = config.replace('[plugins.vectorstore]\npath = "knowledge"', vectors)
    assert ADDRESS in server
    return f"{config}\n{server.replace(ADDRESS, address)}"


def test_two_lines_of_config_put_documents_into_postgresql(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for page in DOCS.glob("*.md"):
        shutil.copy(page, tmp_path / "docs")
    with postgres() as address:
        (tmp_path / "dovetail.toml").write_text(changed(EXAMPLE, address), encoding="utf-8")
        added = dovetail(tmp_path, "knowledge", "add", "docs/")
        assert added.startswith(f"{len(list(DOCS.glob('*.md')))} added; ")
        (stats,) = json.loads(dovetail(tmp_path, "knowledge", "stats", "--json"))
        said, _, pages = dovetail(tmp_path, "chat", "How do I write a plugin?").partition(
            "\n\nSources:\n- "
        )
    assert stats["backend"] == "pgvector"
    assert "plugin" in said
    assert "docs/plugins.md, " in pages
    assert not (tmp_path / "knowledge").exists()
