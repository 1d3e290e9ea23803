"""What is read of a document of each format."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail_vectorstore.documents import LONGEST_HEADING, UnreadableDocument
from dovetail_vectorstore.readers import SUFFIXES, read_document
from plugins.vectorstore.tests.pdfs import pdf, with_owner_password

if TYPE_CHECKING:
    from dovetail_vectorstore.documents import Block

MARKDOWN = """---
title: not text
---
Before any heading.

# Guide

Two lines
of one paragraph.

## Install ##

- first
- second

```sh
# not a heading

pip install it
```
<!-- hidden
words -->
Usage
-----
| a | b |
|---|---|

# Empty

# Last

"""
PAGE = """<html><head><title>Shop &amp; café</title><style>p {}</style></head><body>
<nav>Home | About</nav>
<h1>Tables</h1><p>Made of   <b>oak</b>,
and heavy.</p>
<ul><li>round</li><li>square</li></ul>
<table><tr><th>Size</th><th>Price</th></tr><tr><td>1 m</td><td>90</td></tr></table>
<pre>x =  1
  y</pre><script>alert("no <h1>")</script>
<h2>Care<p>Oil it.
</body>"""
MODULE = '''"""A module."""

import os


@decorated
def first(x):
    """Do it."""
    return x

LIMIT = 3

class Small:
    def method(self): ...
'''
RUST = """use std::fmt;

/// A point.
#[derive(Debug)]
pub struct Point { x: f32 }

impl Point {
    pub fn length(&self) -> f32 { 0.0 }
}
"""


def texts(blocks: list[Block]) -> list[str]:
    return [block.text for block in blocks]


def read(text: str, name: str) -> list[Block]:
    return read_document(text.encode(), name)


def test_text_is_its_paragraphs_with_their_lines() -> None:
    blocks = read("one\ntwo\n\n  \n\nthree\r\n\r\nfour\n", "notes.txt")
    assert [(b.text, b.line) for b in blocks] == [("one\ntwo", 1), ("three", 6), ("four", 8)]


def test_markdown_is_its_blocks_under_their_headings() -> None:
    blocks = read(MARKDOWN, "guide.md")
    assert [(b.headings, b.text.split("\n")[0], b.line) for b in blocks] == [
        ((), "Before any heading.", 4),
        (("Guide",), "Two lines", 8),
        (("Guide", "Install"), "- first", 13),
        (("Guide", "Install"), "```sh", 16),
        (("Guide", "Usage"), "| a | b |", 25),
        (("Empty",), "", 28),
        (("Last",), "", 30),
    ]
    code = blocks[3]
    assert code.code
    assert code.text.endswith("pip install it\n```")


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("Title\n===\ntext", ("Title",)),
        ("# a\n### b\n## c\ntext", ("a", "c")),
        ("#no heading", ()),
        ("####### seven", ()),
        ("- item\n---\ntext", ()),
        ("# " + "long " * 100 + "\n\ntext", (("long " * 100)[: LONGEST_HEADING - 1] + "…",)),
    ],
)
def test_what_is_a_heading_in_markdown(text: str, headings: tuple[str, ...]) -> None:
    assert read(text, "a.md")[-1].headings == headings


def test_a_fence_that_is_never_closed_goes_to_the_end() -> None:
    blocks = read("~~~\n# code\n```\n\nmore", "a.md")
    assert texts(blocks) == ["~~~\n# code\n```\n\nmore"]


def test_html_is_what_a_reader_of_the_page_sees() -> None:
    blocks = read(PAGE, "shop.html")
    assert [(b.headings, b.text) for b in blocks] == [
        (("Shop & café", "Tables"), "Made of oak, and heavy."),
        (("Shop & café", "Tables"), "- round\n- square"),
        (("Shop & café", "Tables"), "Size | Price\n1 m | 90"),
        (("Shop & café", "Tables"), "x =  1\n  y"),
        (("Shop & café", "Tables", "Care"), "Oil it."),
    ]
    assert blocks[0].line == 3
    assert [b.code for b in blocks] == [False, False, False, True, False]


@given(st.text(alphabet="<>/h1pre!-&; script=\"'\n", max_size=200))
def test_no_html_is_so_broken_that_it_raises_anything_else(text: str) -> None:
    try:
        read(f"words <p>{text}", "a.html")
    except UnreadableDocument as error:
        pytest.fail(str(error))


@pytest.mark.parametrize(
    "piece",
    ["<", "</", "<?", "<!", "<!--", "<a ", "<a href='", "<nav>", "<![CDATA[", "&#", '<p x="'],
)
def test_broken_html_of_any_length_comes_to_an_end(piece: str) -> None:
    assert read(f"<p>words</p>{piece * 50_000}", "a.html")[0].text == "words"


def test_what_html_hides_ends_where_it_ends() -> None:
    page = "<nav>a<nav>b</nav>c</nav>d<svg/>e<script>f</scr</script>g<template>h"
    assert texts(read(page, "a.html")) == ["deg"]
    assert texts(read("<p title='a > b'>c</p><![CDATA[d < e]]>", "a.html")) == ["c", "d < e"]


def test_python_is_its_functions_and_classes() -> None:
    blocks = read(MODULE, "module.py")
    assert [(b.headings, b.text.split("\n")[0], b.line) for b in blocks] == [
        ((), '"""A module."""', 1),
        (("first",), "@decorated", 6),
        ((), "LIMIT = 3", 11),
        (("Small",), "class Small:", 13),
    ]
    assert all(block.code for block in blocks)


def test_a_long_class_is_its_methods() -> None:
    methods = "".join(f"    def m{n}(self):\n        return {n}\n\n" for n in range(20))
    blocks = read(f"class Long:\n    '''What it is.'''\n\n{methods}", "module.py")
    assert blocks[0].text == "class Long:\n    '''What it is.'''"
    assert [b.headings for b in blocks[1:]] == [("Long", f"m{n}") for n in range(20)]
    assert blocks[20].text == "    def m19(self):\n        return 19"


def test_python_that_cannot_be_parsed_is_read_all_the_same() -> None:
    blocks = read("print 'two'\n\ndef f():\n    exec 'x'\n", "old.py")
    assert [(b.headings, b.line) for b in blocks] == [((), 1), (("f",), 3)]


def test_other_code_is_what_it_declares_with_the_comments_above() -> None:
    blocks = read(RUST, "point.rs")
    assert [(b.headings, b.text.split("\n")[0]) for b in blocks] == [
        ((), "use std::fmt;"),
        (("Point",), "/// A point."),
        (("Point",), "impl Point {"),
    ]
    assert blocks[1].line == 3


def test_a_pdf_is_its_paragraphs_with_their_pages() -> None:
    first = ["A joint is where two parts of a piece of", "furniture meet.", "It holds."]
    data = pdf(first, [], ["Glue is for-", "ever."], outline={"Joints": 0, "Glue": 2})
    blocks = read_document(data, "wood.pdf")
    assert [(b.page, b.headings, b.text) for b in blocks] == [
        (1, ("Joints",), "A joint is where two parts of a piece of\nfurniture meet."),
        (1, ("Joints",), "It holds."),
        (3, ("Glue",), "Glue is forever."),
    ]
    assert {b.line for b in blocks} == {None}


def test_a_pdf_that_only_its_owner_may_change_is_read() -> None:
    blocks = read_document(with_owner_password(pdf(["Everybody may read."])), "a.pdf")
    assert texts(blocks) == ["Everybody may read."]


def refusal(data: bytes, name: str, **options: str) -> str:
    with pytest.raises(UnreadableDocument) as caught:
        read_document(data, name, **options)
    return str(caught.value)


def test_an_encrypted_pdf_says_so() -> None:
    message = refusal(pdf(["Secret."], password="tree"), "a.pdf")
    assert message == "it is a PDF that needs a password: save a copy without one"


def test_an_outline_that_is_broken_leaves_the_text() -> None:
    data = pdf(["Words."], outline={"Joints": 0})
    broken = data.replace(b"/Title (Joints)", b"/Titel (Joints)")
    assert broken != data
    assert texts(read_document(broken, "a.pdf")) == ["Words."]


@pytest.mark.parametrize("cut", [20, 300, 600])
def test_a_broken_pdf_says_so(cut: int) -> None:
    assert "PDF" in refusal(pdf(["Some words."])[:cut], "a.pdf")


def test_a_pdf_of_pictures_says_what_to_do() -> None:
    assert "have a text recognised first" in refusal(pdf([], []), "scan.pdf")


def test_what_begins_like_a_pdf_is_one() -> None:
    assert texts(read_document(pdf(["Words."]), "download")) == ["Words."]


@pytest.mark.parametrize("data", [b"", b"  \n\t\n"])
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.pdf", "a.py"])
def test_an_empty_file_says_so(data: bytes, name: str) -> None:
    assert refusal(data, name) == "it is empty"


def test_what_holds_nothing_to_read_says_so() -> None:
    assert refusal(b"<script>x</script>", "a.html") == "there is nothing to read in it"


@pytest.mark.parametrize("data", [b"\x7fELF\x02\x01\x00\x00words", b"\x01\x02\x03\x04 word"])
def test_a_binary_that_is_called_txt_is_refused(data: bytes) -> None:
    assert refusal(data, "a.txt").startswith("it is not text")


def test_invalid_utf8_is_refused_unless_its_encoding_is_known() -> None:
    data = "café".encode("cp1252")
    message = refusal(data, "a.txt")
    assert "it is not UTF-8: byte 3 is 0xe9" in message
    assert "set `encoding`" in message
    assert texts(read_document(data, "a.txt", encoding="cp1252")) == ["café"]
    assert "neither UTF-8 nor ascii" in refusal(data, "a.txt", encoding="ascii")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(encoding: str) -> None:
    assert texts(read_document("grüße".encode(encoding), "a.txt")) == ["grüße"]


def test_a_name_of_unknown_ending_is_read_as_text() -> None:
    assert texts(read(MARKDOWN, "LICENSE"))[1] == "# Guide"
    assert {".md", ".pdf", ".py", ".html", ".txt"} <= SUFFIXES


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for suffix in (".txt", ".md", ".html", ".py", ".rs", ".pdf"):
        try:
            blocks = read_document(data, f"a{suffix}")
        except UnreadableDocument:
            continue
        assert blocks


@given(st.text(alphabet="# -=`~\n|ab<!->", max_size=200))
def test_no_line_of_markdown_is_lost_or_said_twice(text: str) -> None:
    letters = sum(text.count(letter) for letter in "ab")
    if "<!--" in text or text.startswith("---"):
        return  # comments and front matter are lost on purpose
    try:
        blocks = read(text, "a.md")
    except UnreadableDocument:
        assert not letters or not text.strip(os.linesep)
        return
    found = sum(block.text.count(letter) for block in blocks for letter in "ab")
    assert found <= letters
