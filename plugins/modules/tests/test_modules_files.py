"""Modules in a folder: how they are written, read again, and told of when they are wrong."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dovetail import ValidationFailed, validated
from dovetail_modules import ModuleDefinition, ModuleKind, Timing
from dovetail_modules.files import LARGEST, read_module
from dovetail_modules.folder import ModuleFolder
from dovetail_modules.sourced import SourcedModule

if TYPE_CHECKING:
    from pathlib import Path

    from plugins.modules.tests.world import World


def read(world: World, name: str) -> ModuleDefinition:
    found = read_module(world.modules / name)
    assert isinstance(found, SourcedModule), found
    return found.definition


def problems(world: World, name: str) -> list[str]:
    found = read_module(world.modules / name)
    assert isinstance(found, list)
    return [str(broken.problem).replace(f"{world.modules}{os.sep}", "") for broken in found]


def test_a_text_file_is_a_simple_module(world: World) -> None:
    world.write(greeting_md="\nBe kind to ${user}.\n")
    module = read(world, "greeting.md")
    assert (module.name, module.kind, module.timing) == ("greeting", "simple", "immediate")
    assert module.content == "Be kind to ${user}."


def test_front_matter_says_what_it_is(world: World) -> None:
    world.write(
        learn_md="""\
        +++
        kind = "AI"
        timing = "POST_RESPONSE"
        priority = 3
        when = { every = 2, tags = ["a"] }
        +++

        What was learnt?
        """
    )
    module = read(world, "learn.md")
    assert (module.kind, module.timing) == (ModuleKind.AI, Timing.POST_RESPONSE)
    assert (module.priority, module.when.every, module.when.tags) == (3, 2, ("a",))
    assert module.content == "What was learnt?"
    assert module.asks


def test_a_script_has_its_metadata_in_comments(world: World) -> None:
    world.write(
        mood_py="""\
        # /// module
        # content = "Mood: ${level}"
        #
        # [when]
        # first_turn = true
        # ///
        level = 1
        """
    )
    module = read(world, "mood.py")
    assert (module.kind, module.content) == (ModuleKind.SCRIPT, "Mood: ${level}")
    assert module.when.first_turn
    assert "level = 1" in module.script
    assert not module.asks


def test_a_script_that_calls_a_model_is_seen_to(world: World) -> None:
    world.write(
        asks_py="x = await generate('hi')\n",
        reflects_py="def f():\n    return reflect('so?')\n",
        says_not_py="# /// module\n# requires_ai = false\n# ///\ngenerate('hi')\n",
    )
    assert read(world, "asks.py").asks
    assert read(world, "reflects.py").asks
    assert not read(world, "says_not.py").asks


def test_a_toml_file_is_all_of_a_module(world: World) -> None:
    world.write(place_toml='name = "here"\ncontent = "At home."\n')
    assert read(world, "place.toml").name == "here"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.md", '+++\nkind = "ai"\ntimming = "x"\n+++\nhi', "a.md:3 timming: there is no key"),
        ("a.md", '+++\nkind = = "ai"\n+++\nhi', "a.md:2: it is no TOML: Invalid value"),
        ("a.md", '+++\nkind = "ai"\nhi', "a.md:1: its front matter has no end"),
        ("a.md", "---\nkind: ai\n---\nhi", "a.md:1: its front matter is not TOML"),
        ("a.md", '+++\ncontent = "x"\n+++\nhi', "a.md:2: its content stands below"),
        ("a.md", '+++\nkind = "ai"\n+++\n', "an AI module needs a `content`"),
        ("a.md", "+++\n[when]\nevery = 0\n+++\nx", "a.md:3 when.every: "),
        ("a.md", '+++\ninitial = "x"\n+++\nx', '`initial` is for `timing = "post_response"`'),
        ("a.md", '+++\ncache = "ttl"\n+++\nx', '`cache = "ttl"` and `ttl` go together'),
        ("a.py", "# /// module\n# priority = 1\n", "a.py:1: its metadata has no end"),
        ("a.py", "# /// module\npriority = 1\n# ///\n", "a.py:2: its metadata stands in comments"),
        ("a.py", "# /// module\n# x = 1\n# ///\n", "a.py:2 x: there is no key `x`"),
        ("a.py", "x = 1\ny = (\n", "a.py:2: its script is no Python"),
        ("a.toml", 'content = "x"\nkind = "poem"\n', "a.toml:2 kind: "),
        ("5.md", "x", "5.md:1 name: "),
        ("a.toml", 'name = "two words"\n', "a module's name is a letter or `_`"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    world: World, name: str, text: str, words: str
) -> None:
    (world.modules / name).write_text(text, encoding="utf-8")
    (problem,) = problems(world, name)
    assert words in problem


def test_every_key_that_is_wrong_is_told(world: World) -> None:
    world.write(a_toml='kind = "poem"\npriority = "high"\n')
    assert len(problems(world, "a.toml")) == 2


def test_a_file_that_is_not_utf8_says_where(world: World) -> None:
    (world.modules / "a.md").write_bytes(b"one\ntwo \xff\n")
    assert "a.md:2: it is not UTF-8" in problems(world, "a.md")[0]


def test_a_file_that_is_too_long_is_refused(world: World) -> None:
    (world.modules / "a.md").write_bytes(b"x" * (LARGEST + 1))
    assert "longer than 1,000,000 bytes" in problems(world, "a.md")[0]


def test_a_file_that_cannot_be_read_harms_no_other(world: World) -> None:
    world.write(good_md="fine")
    (world.modules / "bad.md").symlink_to(world.modules / "nowhere")
    folder = ModuleFolder(world.modules, needed=True)
    folder.look()
    found, broken = folder.modules()
    assert [module.definition.name for module in found] == ["good"]
    assert "cannot be read: No such file" in str(broken[0].problem)


def test_a_pipe_is_left_alone(world: World) -> None:
    os.mkfifo(world.modules / "pipe.md")
    folder = ModuleFolder(world.modules, needed=True)
    folder.look()
    assert folder.modules() == ([], [])


def test_a_file_is_read_again_when_it_changes(world: World) -> None:
    world.write(a_md="one", b_md="two")
    folder = ModuleFolder(world.modules, needed=True)
    assert folder.look()
    before = {m.definition.name: m for m in folder.modules()[0]}
    assert not folder.look()
    world.write(a_md="longer than one")
    (world.modules / "b.md").unlink()
    world.write(c_md="three")
    assert folder.look()
    after = {m.definition.name: m for m in folder.modules()[0]}
    assert {name: m.definition.content for name, m in after.items()} == {
        "a": "longer than one",
        "c": "three",
    }
    assert before["a"] is not after["a"]


def test_what_did_not_change_is_not_read_again(world: World) -> None:
    world.write(a_md="one", b_md="two")
    folder = ModuleFolder(world.modules, needed=True)
    folder.look()
    (before,) = (m for m in folder.modules()[0] if m.definition.name == "b")
    world.write(a_md="longer than one")
    folder.look()
    (after,) = (m for m in folder.modules()[0] if m.definition.name == "b")
    assert after is before


def test_two_files_of_one_name_are_a_problem(world: World) -> None:
    world.write(a_md="one", a_toml='content = "two"')
    folder = ModuleFolder(world.modules, needed=True)
    folder.look()
    found, broken = folder.modules()
    assert found[0].definition.content == "one"
    assert "there is a module `a` already" in str(broken[0].problem)


def test_a_folder_that_is_not_there_is_a_problem_only_if_it_was_named(tmp_path: Path) -> None:
    for needed in (True, False):
        folder = ModuleFolder(tmp_path / "nowhere", needed=needed)
        folder.look()
        assert len(folder.modules()[1]) == needed


def test_other_files_are_left_alone(world: World) -> None:
    (world.modules / ".hidden.md").write_text("x", encoding="utf-8")
    (world.modules / "notes.txt").write_text("x", encoding="utf-8")
    (world.modules / "below.md").mkdir()
    folder = ModuleFolder(world.modules, needed=True)
    folder.look()
    assert folder.modules() == ([], [])


def test_a_script_without_one_and_a_text_with_one_are_refused() -> None:
    for values in ({"kind": "script"}, {"script": "x = 1"}):
        with pytest.raises(ValidationFailed):
            validated(ModuleDefinition, {"name": "a", **values})


def test_a_digest_changes_with_the_module() -> None:
    one = ModuleDefinition(name="a", content="x")
    assert one.digest == ModuleDefinition(name="a", content="x").digest
    assert one.digest != ModuleDefinition(name="a", content="y").digest
