"""Templates: what is a reference in them, and what is not."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dovetail_modules import TemplateParser
from dovetail_modules.template_parser import Reference, Value

parser = TemplateParser()


def text_of(template: str) -> str:
    """The template with nothing put in."""
    pieces = parser.parse(template).pieces
    return "".join(piece if isinstance(piece, str) else piece.written for piece in pieces)


def test_references_are_named_in_order_and_once() -> None:
    assert parser.parse_template("Hello @greeting, the time is @time_module") == [
        "greeting",
        "time_module",
    ]
    assert parser.parse_template("@b @a @b") == ["b", "a"]


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("@greeting.", ["greeting"]),
        ("(@greeting)", ["greeting"]),
        ("end.@next", ["next"]),
        ("@two-words and @dash- here", ["two-words", "dash"]),
        ("@_private", ["_private"]),
        ("@{greeting}s", ["greeting"]),
        ("no@{greeting}s", ["greeting"]),
        ("@größe @日本語 @नमस्ते @café", ["größe", "日本語", "नमस्ते", "café"]),
        ("@cafe\u0301", ["café"]),
        ("@a,@b;@c", ["a", "b", "c"]),
        ("- @item\n  @indented", ["item", "indented"]),
        ("    before @inside", ["inside"]),
        ("```\nprint(@inside)\n```", ["inside"]),
        ("```\ncode\n```\n@after", ["after"]),
        ("```\n@{forced}\n```", ["forced"]),
    ],
)
def test_these_are_references(template: str, names: list[str]) -> None:
    assert parser.parse_template(template) == names


@pytest.mark.parametrize(
    "template",
    [
        "write to a@b.c",
        "ada.lovelace+x@example.org",
        "größe@example.org",
        "@user@example.social",
        "https://example.org/@name and http://a@b:80/@c",
        "ssh://git@host/x?@y",
        "youtube.com/@channel",
        "at 5 @ 6",
        "@5pm",
        "@",
        "@ name",
        "@-x",
        "@{5}",
        "@{}",
        "@{a b}",
        "```python\n@property\ndef x(): ...\n```",
        "~~~~\n@decorated\n~~~\n@still\n~~~~",
        "text\n    @property\n    def x(self): ...",
        "text\n\t@property",
        "${}",
        "${a b}",
        "${a..b}",
        "$5 and $name",
    ],
)
def test_these_are_text(template: str) -> None:
    assert parser.parse_template(template) == []
    assert text_of(template) == template
    assert all(isinstance(piece, str) for piece in parser.parse(template).pieces)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("@@greeting", "@greeting"),
        ("a@@b", "a@b"),
        ("https://x/@@name", "https://x/@name"),
        ("    @@property", "    @property"),
        ("@@@@", "@@"),
        ("$${name}", "${name}"),
        ("$$${name}", "$${name}"),
    ],
)
def test_what_is_escaped_is_text(template: str, text: str) -> None:
    assert parser.parse(template).pieces == (text,)


def test_values_are_names_with_keys() -> None:
    pieces = parser.parse("Hi ${user}, ${ trigger_context.place.name } https://x/${id}").pieces
    paths = [piece.path for piece in pieces if isinstance(piece, Value)]
    assert paths == [("user",), ("trigger_context", "place", "name"), ("id",)]


def test_a_reference_knows_its_line() -> None:
    parsed = parser.parse("one\n@two\nthree @four")
    lines = [piece.line for piece in parsed.pieces if isinstance(piece, Reference)]
    assert lines == [2, 3]
    assert parsed.line_of("four") == 3


def test_a_template_is_parsed_once() -> None:
    assert parser.parse("a @b c") is TemplateParser().parse("a " + "@b c")


def test_ten_thousand_references_are_found() -> None:
    names = [f"m{number}" for number in range(10_000)]
    assert parser.parse_template(" ".join(f"@{name}" for name in names)) == names


def test_a_long_text_without_a_blank_takes_no_time_to_speak_of() -> None:
    for text in ("a" * 1_000_000 + "@", "@" * 1_000_000, "${" * 500_000, "a://" * 250_000 + "@"):
        parser.parse_template(text)


ALPHABET = "@${}ab_-.:/`~ \n\t5é" + "\u0301"
TEXTS = st.text(st.sampled_from(ALPHABET), max_size=40)


@given(st.text(max_size=200) | TEXTS)
@example("@@a")
@example("$${")
def test_an_escaped_text_is_that_text(text: str) -> None:
    pieces = parser.parse(TemplateParser.escape(text)).pieces
    assert "".join(map(str, pieces)) == text
    assert all(isinstance(piece, str) for piece in pieces)


@given(TEXTS.map(lambda text: re.sub("@@+", "@", text).replace("$${", "${")))
def test_nothing_of_a_template_is_lost(text: str) -> None:
    assert text_of(text) == text


@given(TEXTS)
def test_what_is_found_can_be_a_modules_name(text: str) -> None:
    for name in parser.parse_template(text):
        assert parser.parse_template(f"@{{{name}}}") == [name]


WORDS = st.text(string.ascii_letters + string.digits + "._%+-", min_size=1, max_size=12)
ENDS = st.sampled_from(string.ascii_letters + string.digits + "_+-")


@given(WORDS, ENDS, st.from_regex(r"[a-z][a-z0-9-]{0,10}\.[a-z]{2,4}", fullmatch=True))
def test_an_address_is_no_reference(local: str, end: str, domain: str) -> None:
    assert parser.parse_template(f"mail {local}{end}@{domain} now") == []


NAMES = st.text(st.characters(categories=["L", "Nd"], include_characters="_"), min_size=1)


@given(NAMES.filter(lambda name: not name[0].isdigit()), st.sampled_from(["", " ", "(", ","]))
def test_a_name_after_no_word_is_a_reference(name: str, before: str) -> None:
    (found,) = parser.parse_template(f"{before}@{name} x")
    assert parser.parse_template(f"@{{{name}}}") == [found]


@given(st.integers(4, 12), st.from_regex(r"[a-z]{1,8}", fullmatch=True))
def test_a_decorator_in_indented_code_is_none(blanks: int, name: str) -> None:
    assert parser.parse_template(f"code:\n{' ' * blanks}@{name}\n") == []
