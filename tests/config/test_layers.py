"""Which layer says what, and who wins."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from dovetail.config import read_config
from dovetail.errors import ConfigError, ConfigNotFound

TABLES = ("chat", "kernel", "sessions")
KEYS = ("alpha", "beta", "gamma")
LAYERS = ("user", "project", "environment", "flag")

layer_values = st.dictionaries(
    st.tuples(st.sampled_from(TABLES), st.sampled_from(KEYS)), st.integers(0, 99), max_size=9
)


def as_toml(values: dict[tuple[str, str], int]) -> str:
    return "".join(f'{table}.{key} = "{value}"\n' for (table, key), value in values.items())


@given(layers=st.fixed_dictionaries(dict.fromkeys(LAYERS, layer_values)))
def test_for_each_key_the_highest_layer_that_has_it_wins(layers: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        files = {layer: Path(name, f"{layer}.toml") for layer in ("project", "user")}
        for layer, file in files.items():
            file.write_text(as_toml(layers[layer]))
        env = {
            f"DOVETAIL__{table.upper()}__{key.upper()}": str(value)
            for (table, key), value in layers["environment"].items()
        }
        flags: dict[str | tuple[str, ...], object] = {
            f"{table}.{key}": str(value) for (table, key), value in layers["flag"].items()
        }
        raw = read_config(files["project"], user_file=files["user"], env=env, overrides=flags)

    expected: dict[tuple[str, str], tuple[str, str]] = {}
    for layer in LAYERS:
        expected.update({path: (str(value), layer) for path, value in layers[layer].items()})
    found = {path: (value, raw.origin(path).layer) for path, value in raw.leaves() if path}
    assert found == expected
    assert raw.problems == ()


def test_tables_are_merged_key_by_key(folder: Path) -> None:
    Path("user.toml").write_text('[providers.ollama]\nbase_url = "a"\nkeep_alive = "5m"\n')
    Path("dovetail.toml").write_text('[providers.ollama]\nbase_url = "b"\n')
    raw = read_config(user_file="user.toml", env={})
    assert raw.tables == {"providers": {"ollama": {"base_url": "b", "keep_alive": "5m"}}}
    assert raw.where(("providers", "ollama", "keep_alive")).startswith("user.toml:3 ")
    assert raw.where(("providers", "ollama", "missing")).startswith("dovetail.toml:1 ")


def test_a_list_is_replaced_whole(folder: Path) -> None:
    Path("user.toml").write_text('[[middleware]]\nuse = "a"\nx = 1\n[[middleware]]\nuse = "b"\n')
    Path("dovetail.toml").write_text('[[middleware]]\nuse = "c"\n')
    raw = read_config(user_file="user.toml", env={})
    assert raw.tables == {"middleware": [{"use": "c"}]}
    assert raw.origin(("middleware", 0, "x")).layer == "project"


def test_a_higher_layer_may_put_a_value_where_a_table_was(folder: Path) -> None:
    Path("user.toml").write_text("[chat.options]\na = 1\n")
    Path("dovetail.toml").write_text("[chat]\noptions = 2\n")
    raw = read_config(user_file="user.toml", env={})
    assert dict(raw.leaves()) == {("chat", "options"): 2}


def test_the_file_is_found_in_a_folder_above(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("dovetail.toml").write_text("[chat]\nmodel = 'a/b'\n")
    below = folder / "one" / "two"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    raw = read_config(env={})
    assert raw.files[0].path == folder / "dovetail.toml"
    assert raw.where(("chat", "model")) == f"{folder / 'dovetail.toml'}:2 [chat] model"


def test_a_given_file_is_the_project_file(folder: Path) -> None:
    Path("dovetail.toml").write_text("[chat]\nmodel = 'found'\n")
    Path("other.toml").write_text("[chat]\nmodel = 'given'\n")
    assert read_config("other.toml", env={}).tables == {"chat": {"model": "given"}}


@pytest.mark.parametrize(
    ("env", "file"),
    [
        ({"DOVETAIL_CONFIG_HOME": "{home}/a", "XDG_CONFIG_HOME": "{home}/b"}, "a/config.toml"),
        ({"XDG_CONFIG_HOME": "{home}/b"}, "b/dovetail/config.toml"),
        ({"XDG_CONFIG_HOME": "relative/is/ignored"}, ".config/dovetail/config.toml"),
        ({}, ".config/dovetail/config.toml"),
    ],
)
def test_the_users_file_is_where_the_environment_says(
    folder: Path, env: dict[str, str], file: str
) -> None:
    home = folder.parent / "home"
    path = home / file
    path.parent.mkdir(parents=True)
    path.write_text("[chat]\nmodel = 'mine'\n")
    env = {name: value.format(home=home) for name, value in env.items()}
    raw = read_config(env={"HOME": str(home), **env})
    assert raw.origin(("chat", "model")).layer == "user"
    assert raw.files[0].path == path


def test_no_file_anywhere_says_where_it_looked_and_what_to_run(folder: Path) -> None:
    with pytest.raises(ConfigNotFound) as caught:
        read_config(env={"HOME": str(folder)})
    text = str(caught.value)
    assert "dovetail.toml" in text
    assert str(folder / ".config/dovetail/config.toml") in text
    assert "dovetail init" in text


def test_no_file_is_found_from_a_folder_that_was_deleted(folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(ConfigNotFound):
        read_config(env={"HOME": str(folder.parent)})


@pytest.mark.parametrize("which", ["source", "user_file"])
def test_a_given_file_that_is_missing_is_named(folder: Path, which: str) -> None:
    Path("dovetail.toml").write_text("")
    arguments: dict[str, Any] = {which: "nowhere.toml"}
    with pytest.raises(ConfigNotFound, match=r"nowhere\.toml"):
        read_config(env={}, **arguments)


def test_a_mapping_stands_in_place_of_both_files(folder: Path) -> None:
    Path("dovetail.toml").write_text("[chat]\nmodel = 'file'\n")
    raw = read_config({"chat": {"window": 3}}, env={"DOVETAIL__CHAT__SEED": "7"})
    assert raw.tables == {"chat": {"window": 3, "seed": "7"}}
    assert raw.files == ()
    assert raw.where(("chat", "window")) == "config mapping [chat] window"


def test_a_mapping_is_copied() -> None:
    given_tables = {"chat": {"stop": ["a"]}}
    raw = read_config(given_tables, env={})
    given_tables["chat"]["stop"].append("b")
    assert raw.tables == {"chat": {"stop": ["a"]}}


def test_a_mapping_may_hold_tuples_and_foreign_objects() -> None:
    raw = read_config({"chat": {"stop": ("a", "b"), "path": Path("x")}}, env={})
    assert raw.tables == {"chat": {"stop": ["a", "b"], "path": Path("x")}}


def test_a_mapping_without_end_is_refused() -> None:
    endless: dict[str, object] = {}
    endless["chat"] = endless
    raw = read_config(endless, env={})
    assert [problem.message for problem in raw.problems] == ["lies more than 50 tables deep"]


def test_keys_that_are_no_text_are_refused() -> None:
    tables: Any = {"chat": {1: "x"}}
    raw = read_config(tables, env={})
    assert [problem.message for problem in raw.problems] == ["the key 1 should be text"]
    assert raw.tables == {"chat": {}}


def test_flags_are_dotted_paths_or_tuples_and_none_is_not_given() -> None:
    raw = read_config(
        {"chat": {"model": "a", "seed": 1}},
        env={},
        overrides={"chat.model": "b", ("providers", "a.b", "url"): "u", "chat.seed": None},
    )
    assert raw.tables == {
        "chat": {"model": "b", "seed": 1},
        "providers": {"a.b": {"url": "u"}},
    }
    assert raw.where(("chat", "model")) == "flag chat.model"


def test_a_flag_cannot_reach_into_a_single_value() -> None:
    raw = read_config({"chat": {"model": "a"}}, env={}, overrides={"chat.model.x": 1})
    assert [str(problem) for problem in raw.problems] == [
        "flag chat.model.x: sets chat.model.x, but chat.model is a single value"
    ]
    assert raw.tables == {"chat": {"model": "a"}}


def test_what_is_printed_of_a_config_holds_no_value() -> None:
    raw = read_config({"chat": {"api_key": "hunter2"}}, env={"A": "b"})
    assert "hunter2" not in repr(raw)


def test_a_changed_file_has_another_fingerprint(folder: Path) -> None:
    file = folder / "dovetail.toml"
    file.write_text("[chat]\n")
    before, again = (read_config(env={}).files[0] for _ in range(2))
    file.write_text("[chat] \n")
    after = read_config(env={}).files[0]
    assert before.fingerprint == again.fingerprint != after.fingerprint
    assert repr(after) == f"ConfigFile({os.fspath(file)!r}, 'project')"


def test_problems_of_the_users_and_the_projects_file_come_together(folder: Path) -> None:
    Path("dovetail.toml").write_text("[chat\n")
    Path("user.toml").write_text("model = \n")
    with pytest.raises(ConfigError) as caught:
        read_config(user_file="user.toml", env={})
    assert [problem.where for problem in caught.value.problems] == [
        "dovetail.toml:1:6",
        "user.toml:1:9",
    ]


def test_what_no_layer_says_is_a_default() -> None:
    raw = read_config({"chat": {"model": "a"}, "x": 1}, env={})
    assert raw.origin(("kernel", "max_turns")).layer == "default"
    assert raw.where(("kernel", "max_turns")) == "[kernel] max_turns"
    assert raw.value(("chat", "model", "deeper")) is None
    assert raw.where(("x",)) == "config mapping x"


def test_secrets_that_a_program_hands_over_are_known() -> None:
    tables: dict[str, dict[str, object]] = {
        "chat": {"token": SecretStr("hunter2"), "api_key": 12345, "password": True}
    }
    tables["chat"]["secret"] = 1 << 20_000  # more digits than Python will write
    assert read_config(tables, env={}).secrets() == {"hunter2", "12345"}
