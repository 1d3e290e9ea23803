"""`dovetail knowledge`, as a person and as a script have it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

import pytest
import structlog
from click.testing import CliRunner, Result

from dovetail import DovetailError
from dovetail_vectorstore.cli import knowledge
from plugins.vectorstore.tests.ingesting import write
from tests.cli.terminal import CTRL_C, Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONFIG = """
[chat]
embedding_model = "wordllama"

[providers.wordllama]

[plugins.vectorstore]
"""
PAGES = {
    "docs/oak.md": "# Oak\n\nOak is a hard wood of ships.\n",
    "docs/pine.md": "# Pine\n\nPine is soft, and cheap.\n",
    "docs/joints/tail.md": "# Dovetail\n\nA joint that holds drawers together.\n",
}
# The model answers once, and then never again.
STALLED = """
import asyncio, sys
from runpy import run_module
from dovetail_vectorstore.embedding import Embedder
whole, calls = Embedder.embed, []
async def embed(self, texts):
    calls.append(texts)
    if len(calls) > 1:
        await asyncio.Event().wait()
    return await whole(self, texts)
Embedder.embed = embed
sys.argv[0] = "dovetail"
run_module("dovetail", run_name="__main__")
"""


class Run(Protocol):
    """Runs the command in this process."""

    def __call__(self, *arguments: str, code: int = 0) -> Result: ...


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a config and pages, and nothing above it or at home."""
    for name in [n for n in os.environ if n.startswith(("DOVETAIL", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"dovetail.toml": CONFIG, **PAGES})
    return tmp_path


@pytest.fixture
def run() -> Iterator[Run]:
    def command(*arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(knowledge, arguments)
        if isinstance(done.exception, Exception):
            raise done.exception
        assert done.exit_code == code, done.output
        return done

    yield command
    structlog.reset_defaults()


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal([*arguments], os.environ))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_from_a_folder_to_an_answer(run: Run, folder: Path) -> None:
    added = run("add", "docs/")
    assert (added.stdout, added.stderr) == ("3 added; 3 chunks stored\n", "")
    assert run("list").stdout == (
        "SOURCE               CHUNKS\n"
        "docs/joints/tail.md  1\n"
        "docs/oak.md          1\n"
        "docs/pine.md         1\n"
    )
    found = run("search", "What are ships made of?", "-n", "1").stdout
    assert found.endswith('  docs/oak.md, "Oak", line 3\n    Oak is a hard wood of ships.\n')
    assert run("add", "docs").stdout == "3 unchanged; 0 chunks stored\n"
    assert run("delete", "docs/oak.md", "docs/joints").stdout == "2 documents removed\n"
    assert "docs/pine.md" in run("list").stdout


def test_everything_can_be_had_as_json(run: Run, folder: Path) -> None:
    write(folder, {"docs/empty.md": ""})
    added = json.loads(run("add", "docs", "--json", code=1).stdout)
    assert added["added"] == ["docs/oak.md", "docs/pine.md", "docs/joints/tail.md"]
    assert added["failed"] == [{"source": "docs/empty.md", "reason": "it is empty"}]
    assert added["chunks"] == 3
    hits = json.loads(run("search", "soft and cheap", "--json", "-m", "vector").stdout)
    assert hits[0]["source"] == "docs/pine.md"
    assert hits[0]["metadata"]["headings"] == ["Pine"]
    assert -1 <= hits[-1]["score"] <= hits[0]["score"] <= 1
    listed = json.loads(run("list", "--json").stdout)
    assert listed[0] == {"source": "docs/joints/tail.md", "chunks": 1}
    (stats,) = json.loads(run("stats", "--json").stdout)
    assert (stats["name"], stats["dimension"], stats["items"]) == ("documents", 256, 3)
    done = json.loads(run("reindex", "--everything", "--json").stdout)
    assert done == {"embedded": 3, "vectors": 3, "refused": []}
    removed = json.loads(run("delete", "--all", "--json").stdout)
    assert (len(removed["removed"]), removed["chunks"]) == (3, 3)


def test_a_bad_document_is_listed_and_the_rest_goes_on(run: Run, folder: Path) -> None:
    write(folder, {"docs/a.txt": b"\x00\x01", "docs/b\x1b[2J.md": b""})
    added = run("add", "docs", code=1)
    assert added.stdout == "3 added, 2 failed; 3 chunks stored\n"
    assert "docs/a.txt: it is not text: there are zero bytes in it\n" in added.stderr
    assert "docs/b[2J.md: it is empty\n" in added.stderr


def test_what_is_gone_is_pruned_and_what_is_excluded_left_out(run: Run, folder: Path) -> None:
    run("add", "docs", "-x", "joints")
    (folder / "docs/oak.md").unlink()
    assert run("add", "docs", "--prune").stdout == (
        "1 added, 1 unchanged, 1 removed; 1 chunk stored\n"
    )


def test_a_user_finds_his_own_documents_and_those_of_all(run: Run, folder: Path) -> None:
    run("add", "docs/oak.md")
    run("add", "docs/pine.md", "--user", "ada")

    def found(*options: str) -> set[str]:
        hits = json.loads(run("search", "wood", "--json", *options).stdout)
        return {hit["source"] for hit in hits}

    assert found() == {"docs/oak.md"}
    assert found("-u", "ada") == {"docs/oak.md", "docs/pine.md"}
    assert found("-u", "bob") == {"docs/oak.md"}
    assert found("--everyone") == {"docs/oak.md", "docs/pine.md"}
    assert "oak" not in run("list", "-u", "ada").stdout
    run("delete", "--all", "-u", "ada")
    assert found("--everyone") == {"docs/oak.md"}


def test_a_collection_is_apart_from_the_others(run: Run, folder: Path) -> None:
    run("add", "docs/oak.md", "--collection", "wood")
    run("add", "docs/pine.md")
    lines = run("stats").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["COLLECTION", "documents", "wood"]
    assert "docs/oak.md" in run("list", "--collection", "wood").stdout
    assert len(run("stats", "wood").stdout.splitlines()) == 2


def test_another_model_is_refused_with_what_to_do_and_that_helps(run: Run, folder: Path) -> None:
    run("add", "docs")
    write(folder, {"dovetail.toml": CONFIG.replace("ma]", "ma]\ndimensions = 64")})
    with pytest.raises(DovetailError, match="`dovetail knowledge reindex documents`"):
        run("search", "ships", "-m", "vector")
    assert run("reindex", "documents").stdout == "3 chunks embedded; 3 vectors\n"
    assert "docs/oak.md" in run("search", "ships", "-n", "1").stdout


def test_with_nothing_stored_each_command_says_so(run: Run, folder: Path) -> None:
    for command in (["list"], ["stats"]):
        done = run(*command)
        assert done.stdout == ""
        assert "nothing is stored; put something in: dovetail knowledge add PATH" in done.stderr
    assert "nothing was found" in run("search", "oak").stderr
    assert run("search", "oak", "--json").stdout == "[]\n"
    assert run("reindex").stdout == "0 chunks embedded; 0 vectors\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add"], "Missing argument 'PATHS...'"),
        (["delete"], "name documents, or say --all"),
        (["delete", "a.md", "--all"], "name documents, or say --all"),
        (["search", "  "], "the query is empty"),
        (["search", "oak", "-u", "ada", "--everyone"], "say --user or --everyone, not both"),
        (["reindex", "-u", "ada"], "No such option"),
    ],
)
def test_wrong_use_is_told(run: Run, folder: Path, arguments: list[str], words: str) -> None:
    assert words in run(*arguments, code=2).stderr


def test_a_document_that_is_not_there_cannot_be_deleted(run: Run, folder: Path) -> None:
    done = run("delete", "docs/elm.md", code=1)
    assert "none is stored under that name" in done.stderr


def test_a_document_can_be_named_from_where_one_is(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("add", "docs")
    assert run("delete", "./docs/joints/").stdout == "1 document removed\n"
    assert run("delete", str(folder / "docs" / "oak.md")).stdout == "1 document removed\n"
    assert "none is stored" in run("delete", "", code=1).stderr
    assert run("delete", ".").stdout == "1 document removed\n"


def test_a_document_stands_on_a_line_of_the_list_whatever_its_name(run: Run, folder: Path) -> None:
    write(folder, {"notes/a\nb  9.md": "words"})
    run("add", "notes")
    assert run("list").stdout.splitlines()[1:] == ["notes/a b  9.md  1"]


@pytest.mark.parametrize("command", ["reindex", "stats"])
def test_a_collection_that_is_not_there_is_named(run: Run, folder: Path, command: str) -> None:
    run("add", "docs")
    done = run(command, "document", code=1)
    assert "no collection `document`; there are: documents" in done.stderr


def test_a_config_without_the_store_says_what_to_write(run: Run, folder: Path) -> None:
    write(folder, {"dovetail.toml": "[chat]\n"})
    with pytest.raises(DovetailError, match=r"write the table \[plugins.vectorstore\]"):
        run("list")


def test_a_config_without_an_embedding_model_says_what_to_write(run: Run, folder: Path) -> None:
    write(folder, {"dovetail.toml": "[chat]\n\n[plugins.vectorstore]\n"})
    with pytest.raises(DovetailError, match=r"name one in `embedding_model` of \[chat\]"):
        run("add", "docs")


def test_without_a_config_it_is_one_line(folder: Path) -> None:
    (folder / "dovetail.toml").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "dovetail", "knowledge", "list"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "dovetail.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_pipe_sees_no_bar(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dovetail", "knowledge", "add", "docs"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 added; 3 chunks stored\n", "")


def test_a_terminal_sees_a_bar(terminal: Callable[..., Terminal], folder: Path) -> None:
    screen = terminal("-m", "dovetail", "knowledge", "add", "docs")
    screen.expect("100%")
    screen.expect("3 added; 3 chunks stored")
    assert screen.end() == 0


def test_ctrl_c_says_that_it_can_go_on_and_it_does(
    terminal: Callable[..., Terminal], run: Run, folder: Path
) -> None:
    sections = "".join(f"# S{number}\n\nIt is number {number}.\n\n" for number in range(100))
    write(folder, {"long.md": sections})
    screen = terminal("-c", STALLED, "knowledge", "add", "long.md")
    screen.expect("64%")  # the first batch is there
    screen.type(CTRL_C)
    screen.expect("stopped; the same command goes on from here")
    assert screen.end() == 1
    assert "Traceback" not in screen.seen
    done = json.loads(run("add", "long.md", "--json").stdout)
    assert done["added"] == ["long.md"]
    assert 0 < done["chunks"] < 100
    assert "long.md  100" in run("list").stdout
