"""`dovetail modules`, as a person and as a script have it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
import structlog
from click.testing import CliRunner, Result

from dovetail_modules import ModuleDefinition
from dovetail_modules.checking import shadowed
from dovetail_modules.cli import modules
from dovetail_modules.sourced import SourcedModule, merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from plugins.modules.tests.world import World

    Run = Callable[..., Result]

CONFIG = """\
[chat]
model = "llamacpp/smollm2"

[providers.llamacpp]
context = 256

[plugins.modules]

[plugins.scripts]

[personas.sage]
template = \"\"\"
You are Sage.
@greeting @time\"\"\"
"""


@pytest.fixture
def folder(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a config."""
    for name in [n for n in os.environ if n.startswith(("DOVETAIL", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(world.folder))
    monkeypatch.chdir(world.folder)
    (world.folder / "dovetail.toml").write_text(CONFIG, encoding="utf-8")
    world.write(
        greeting_md='+++\ndescription = "How to greet."\n+++\nGreet ${user}: @name',
        name_md="Sage",
        time_py='# /// module\n# content = "It is ${clock}."\n# ///\nclock = "noon"\n',
    )
    return world.folder


@pytest.fixture
def run(folder: Path) -> Iterator[Run]:
    known = structlog.get_config()

    def command(*words: str) -> Result:
        return CliRunner().invoke(modules, words)

    yield command
    structlog.configure(**known)


def test_list_shows_every_module(run: Run) -> None:
    done = run("list")
    assert done.exit_code == 0
    lines = [line.split(maxsplit=4) for line in done.stdout.splitlines()]
    assert lines == [
        ["NAME", "KIND", "TIMING", "FROM", "DESCRIPTION"],
        ["greeting", "simple", "immediate", "modules/greeting.md", "How to greet."],
        ["name", "simple", "immediate", "modules/name.md"],
        ["time", "script", "immediate", "modules/time.py"],
    ]
    assert [m["name"] for m in json.loads(run("list", "--json").stdout)] == [
        "greeting",
        "name",
        "time",
    ]


def test_list_says_where_there_could_be_some(run: Run, world: World) -> None:
    for file in world.modules.iterdir():
        file.unlink()
    done = run("list")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "[plugins.modules]" in done.stderr


def test_show_has_all_of_a_module(run: Run) -> None:
    done = run("show", "time")
    assert "from    modules/time.py" in done.stdout
    assert "content:\nIt is ${clock}.\n" in done.stdout
    assert 'clock = "noon"' in done.stdout
    assert json.loads(run("show", "greeting", "--json").stdout)["content"].startswith("Greet")


def test_show_names_what_there_is(run: Run) -> None:
    done = run("show", "nobody")
    assert done.exit_code == 1
    assert "there is no module `nobody` (modules: `greeting`, `name`, `time`)" in str(
        done.exception
    )


def test_run_has_one_module_work(run: Run) -> None:
    done = run("run", "greeting", "--context", '{"user": "ada"}')
    assert (done.exit_code, done.stdout) == (0, "Greet ada: Sage\n")
    done = run("run", "time")
    assert (done.stdout, done.stderr) == ("It is noon.\n", 'time: {"clock": "noon"}\n')


def test_run_has_a_module_work_after_an_answer(run: Run, world: World) -> None:
    world.write(
        note_py="""\
        # /// module
        # timing = "post_response"
        # ///
        set_state("n", get_state("n", 0) + len(response))
        f"{len(history(9))} of {user}"
        """
    )
    context = {
        "response": "four",
        "user": "ada",
        "state": {"n": 1},
        "history": [{"role": "user", "content": "hi"}],
    }
    done = run("run", "note", "--json", "--context", json.dumps(context))
    told = json.loads(done.stdout)
    assert (told["text"], told["errors"]) == ("2 of ada", [])
    assert told["state"]["values"] == {"n": 5}


def test_run_asks_the_model(run: Run, world: World) -> None:
    world.write(asks_md='+++\nkind = "ai"\nmax_tokens = 4\n+++\nSay hello to ${message}.')
    done = run("run", "asks", "--context", '{"message": "Ada"}')
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_run_says_why_a_module_failed(run: Run, world: World) -> None:
    world.write(bad_py="x = 1\n1 / 0\n")
    done = run("run", "bad")
    assert done.exit_code == 1
    assert "bad, line 2: ZeroDivisionError" in done.stderr


def test_run_says_that_a_module_does_not_act(run: Run, world: World) -> None:
    world.write(shy_py='# /// module\n# when.users = ["ada"]\n# ///\n"here"\n')
    assert "it does not act in this context" in run("run", "shy").stderr
    assert run("run", "shy", "--context", '{"user": "ada"}').stdout == "here\n"


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ("{", "--context is no JSON"),
        ("[]", "should be a JSON object"),
        ('{"mesage": "x"}', "did you mean `message`?"),
    ],
)
def test_a_context_that_is_none_is_told(run: Run, context: str, words: str) -> None:
    done = run("run", "time", "--context", context)
    assert done.exit_code == 2
    assert words in done.stderr


def test_check_is_content(run: Run) -> None:
    done = run("check")
    assert (done.exit_code, done.stdout) == (0, "3 modules, nothing is wrong with them\n")


def test_check_tells_of_everything_at_once(run: Run, world: World, folder: Path) -> None:
    world.write(
        a_md="one\n@b",
        b_md="@a",
        near_md="+++\npriority = 1\n+++\n\nHello\n@greting",
        for_md='+++\npersonas = ["sag"]\n+++\nx',
        model_md='+++\nkind = "ai"\nmodel = "nowhere/x"\n+++\nx',
        broken_md="+++\nkind = = 1\n+++\nx",
        script_py="x = 1\nimport this_is_not_there\nfor",
        monty_py="x = 1\nwith open('x') as f:\n    pass\nclass A(B, metaclass=C): pass\n",
    )
    (world.modules / "latin.md").write_bytes(b"gr\xfc\xdfe")
    config = CONFIG.replace("@greeting", "@gone @greeting")
    (folder / "dovetail.toml").write_text(config, encoding="utf-8")
    done = run("check")
    assert done.exit_code == 1
    for words in (
        "modules/broken.md:2: it is no TOML",
        "modules/latin.md:1: it is not UTF-8",
        "modules/script.py:3: its script is no Python",
        "modules/monty.py, monty, line 4: ",
        "[personas.sage] template, line 2: `@gone`: not found",
        "modules/near.md:6: `@greting`: not found\n    → did you mean `greeting`?",
        "modules/b.md:1: `@a`: circular: a → b → a",
        "modules/for.md: it is for a persona `sag`, which there is not\n    → did you mean `sage`?",
        "modules/model.md model: there is no provider instance `nowhere`",
    ):
        assert words in done.stdout, words
    told = json.loads(run("check", "--json").stdout)
    assert len(told["problems"]) == 9
    assert told["notes"] == []


def test_check_wants_the_script_engine(run: Run, folder: Path) -> None:
    config = CONFIG.replace("[plugins.scripts]\n", "")
    (folder / "dovetail.toml").write_text(config, encoding="utf-8")
    done = run("check")
    assert done.exit_code == 1
    assert "modules/time.py: `time` cannot run\n    → scripts need the plugin" in done.stdout


def test_graph_draws_who_names_whom(run: Run, world: World) -> None:
    world.write(lonely_md="@name @nobody", round_md="@round2", round2_md="@round")
    assert run("graph").stdout.splitlines() == [
        "persona sage",
        "├─ greeting (simple, immediate)",
        "│  └─ name (simple, immediate)",
        "└─ time (script, immediate)",
        "lonely (simple, immediate)",
        "├─ name (simple, immediate)",
        "└─ nobody (not found)",
        "round (simple, immediate)",
        "└─ round2 (simple, immediate)",
        "   └─ round (simple, immediate) (above)",
    ]
    drawn = run("graph", "--format", "mermaid").stdout.splitlines()
    assert drawn[0] == "flowchart LR"
    assert '  m0["greeting"]' in drawn
    assert "  p0 --> m0" in drawn
    assert '  m1 --> missing["nobody: not found"]' in drawn


def test_a_config_without_modules_says_what_to_write(run: Run, folder: Path) -> None:
    (folder / "dovetail.toml").write_text("[providers.llamacpp]\n", encoding="utf-8")
    done = run("list")
    assert done.exit_code == 2
    assert "write [plugins.modules] into it" in done.stderr


def test_a_module_of_the_store_that_hides_another_is_a_note() -> None:
    found = [
        SourcedModule(ModuleDefinition(name="a", content=where), where, where)
        for where in ("store", "folder")
    ]
    snapshot = merged({"store": found[:1], "folder": found[1:]}, [], 1)
    assert shadowed(snapshot) == ["folder: `a` is hidden by that of store"]
