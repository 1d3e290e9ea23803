"""Files that cannot be read say so at once, with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail.config import read_config
from dovetail.errors import ConfigError, Problem


def problem_of(content: bytes) -> Problem:
    Path("dovetail.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_config(env={})
    (problem,) = caught.value.problems
    return problem


@pytest.mark.usefixtures("folder")
class TestInvalidToml:
    def test_file_line_column_and_the_line_are_named(self) -> None:
        problem = problem_of(b'[chat]\nmodel = "a"\nstop = [a, b] # oops\n')
        assert problem.where == "dovetail.toml:3:9"
        assert problem.message == "is not valid TOML: Invalid value"
        assert problem.hint == "the line is: stop = [a, b] # oops"

    def test_a_key_written_twice_is_named(self) -> None:
        problem = problem_of(b"[chat]\nmodel = 1\nmodel = 2\n")
        assert problem.message == "`model` is there already, at line 2"
        assert problem.where.startswith("dovetail.toml:3:")

    @pytest.mark.parametrize(
        ("text", "line", "message", "hint"),
        [
            (
                "[chat]\na = 1\n[x]\n[chat]\nb = 2\n",
                4,
                "[chat] is there already, at line 1",
                "put the keys of both under one of them",
            ),
            (
                "[a]\nx = 1\n[b]\nx = 2\n'y' = 1\nx = 3",
                6,
                "`x` is there already, at line 4",
                "take one of them out",
            ),
            (
                "[chat]\nmodel = llamacpp/smollm2 # small\n",
                2,
                "texts need quotes",
                'write model = "llamacpp/smollm2"',
            ),
            ("[sessions]\nlifetime = 1h\n", 2, "texts need quotes", 'write lifetime = "1h"'),
            ("[a]\nx = \u201cbe brief\u201d\n", 2, "texts need quotes", 'write x = "be brief"'),
            (
                "[a]\noptional = True\n",
                2,
                "`optional` should be true or false, in small letters",
                "write optional = true",
            ),
            ("[a]\nx = # none\n", 2, "`x` has no value", "write one, or take the key out"),
            ('[a]\nx = "b\ny = 1\n', 2, "the closing quote is missing", 'the line is: x = "b'),
            ('[a]\nx = "b', 2, "the closing quote is missing", 'the line is: x = "b'),
            ("[a]\nx = 'b\ny = 1\n", 2, "the closing quote is missing", "the line is: x = 'b"),
            ("[chat\nx = 1\n", 1, "the closing ] is missing", "write [chat]"),
            ("\n[[middleware]\n", 2, "the closing ]] is missing", "write [[middleware]]"),
            (
                '[a]\nx = ["b",\n"c"\ny = 1\n',
                4,
                "the list is not closed: a comma or a ] is missing",
                "",
            ),
        ],
    )
    def test_the_usual_mistakes_are_told_in_an_operators_words(
        self, text: str, line: int, message: str, hint: str
    ) -> None:
        problem = problem_of(text.encode())
        assert problem.where.split(":")[:2] == ["dovetail.toml", str(line)]
        assert (problem.message, problem.hint) == (message, hint)

    @pytest.mark.parametrize(
        "text",
        [
            "[a]\napi_key = hunter2",
            '[a]\nurl = "http://user:hunter2@host" x',
            "[a]\nx = Bearer hunter2",
            '[a]\napi_keys = [\n  "abc==",\n  "hunter2" "b"\n]',
            '[a]\nsecret = """\nline=\nhunter2 \\q\n"""',
            "[a.credentials]\nfor_me = hunter2",
            "[a]\nx = hunter2" + "x" * 300,
        ],
    )
    def test_a_line_that_may_hold_a_secret_is_not_shown(self, text: str) -> None:
        problem = problem_of(text.encode())
        assert problem.where.startswith("dovetail.toml:")
        assert "hunter2" not in str(problem)

    def test_a_secret_elsewhere_does_not_hide_the_line(self) -> None:
        problem = problem_of(b'[a]\napi_key = "hunter2"\nwindow = twelve\n')
        assert problem.hint == 'write window = "twelve"'

    def test_what_is_not_closed_is_found_at_the_end(self) -> None:
        problem = problem_of(b'[chat]\nprompt = """\nnever ends\n')
        assert problem.where == "dovetail.toml:4"
        assert "not closed" in problem.hint

    @pytest.mark.parametrize("text", [b"x = " + b"9" * 5000, b"x = " + b"[" * 100_000])
    def test_what_breaks_the_parser_is_still_a_problem(self, text: bytes) -> None:
        assert problem_of(text).message.startswith("is not valid TOML")

    def test_tables_without_end_are_refused(self) -> None:
        Path("dovetail.toml").write_text("[" + ".".join("a" * 3000) + "]\n")
        (problem,) = read_config(env={}).problems
        assert problem.message == "lies more than 50 tables deep"
        assert "dovetail.toml" in problem.where


@pytest.mark.usefixtures("folder")
class TestUnreadable:
    def test_what_is_not_utf8_is_named_with_its_line(self) -> None:
        problem = problem_of('[chat]\nmodel = "ä"\n'.encode("latin-1"))
        assert problem.where == "dovetail.toml:2"
        assert "not UTF-8: byte 0xe4" in problem.message
        assert problem.hint == "save the file as UTF-8"

    def test_a_folder_is_named(self) -> None:
        Path("dovetail.toml").mkdir()
        with pytest.raises(ConfigError, match=r"dovetail\.toml: is a folder"):
            read_config(env={})

    def test_a_link_to_nowhere_is_named(self) -> None:
        Path("dovetail.toml").symlink_to("gone.toml")
        with pytest.raises(ConfigError, match=r"dovetail\.toml: cannot be read: No such file"):
            read_config(env={})

    def test_a_file_too_long_for_a_config_is_not_read_on(self) -> None:
        assert "longer than 1 MiB" in problem_of(b"#" * (1 << 20) + b"##").message


@pytest.mark.usefixtures("folder")
def test_a_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    Path("dovetail.toml").write_bytes(b"\xef\xbb\xbf[chat]\r\n\r\nmodel = 'a/b'\r\n")
    raw = read_config(env={})
    assert raw.where(("chat", "model")) == "dovetail.toml:3 [chat] model"
