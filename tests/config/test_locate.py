"""The line a key was written on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dovetail.config.files import ConfigFile
from dovetail.config.locate import line_index
from dovetail.config.places import KeyPath, dotted

TRICKY = '''\
# a comment with [brackets] = and "quotes"
top = 1

[a]
text = """
[not.a.table]
key = 1
""" # after
list = [
  "one", # ]
  "]", # still inside
  { name = "x", deep = [1, 2] },
]
dotted.key.below = 2
dotted."with dot.".x = 3
inline = { one = 1, two = { three = 3 } }
hash = "# no comment"
raw = \'\'\'
[x]
\'\'\'

[b."quoted.name"]
"key with = sign" = 1

[[m]]
use = "first"
[m.sub]
x = 1
[[m]]
use = "second"
[[m.inner]]
y = 1
[[m.inner]]
y = 2

[a.later]
z = 1
[implied.child]
c = 1
[implied]
own = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("a",), 4),
        (("a", "text"), 5),
        (("a", "list"), 9),
        (("a", "list", 2, "deep", 1), 9),
        (("a", "dotted"), 14),
        (("a", "dotted", "key", "below"), 14),
        (("a", "dotted", "with dot.", "x"), 15),
        (("a", "inline", "two", "three"), 16),
        (("a", "hash"), 17),
        (("a", "raw"), 18),
        (("b",), 22),
        (("b", "quoted.name"), 22),
        (("b", "quoted.name", "key with = sign"), 23),
        (("m",), 25),
        (("m", 0), 25),
        (("m", 0, "use"), 26),
        (("m", 0, "sub"), 27),
        (("m", 0, "sub", "x"), 28),
        (("m", 1), 29),
        (("m", 1, "use"), 30),
        (("m", 1, "inner", 0, "y"), 32),
        (("m", 1, "inner", 1), 33),
        (("m", 1, "inner", 1, "y"), 34),
        (("a", "later", "z"), 37),
        (("implied", "child"), 38),
        (("implied",), 40),
        (("implied", "own"), 41),
    ],
    ids=lambda value: dotted(value) if isinstance(value, tuple) else None,
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["unix", "windows"])
def test_the_line_is_found(path: KeyPath, line: int, ending: str) -> None:
    assert line_index(TRICKY.replace("\n", ending))[path] == line


def test_nothing_is_found_that_is_not_there() -> None:
    index = line_index(TRICKY)
    assert ("not",) not in index
    assert ("x",) not in index


def test_a_missing_key_is_looked_for_at_its_table() -> None:
    file = ConfigFile(Path("dovetail.toml"), "project", TRICKY)
    assert file.line(("m", 1, "inner", 1, "missing", "below")) == 33
    assert file.line(("nowhere", "at all")) is None


def test_a_long_file_takes_a_moment_only() -> None:
    table = "[providers.p{}]\nuse = 'x'\nlist = [\n  1,\n  2,\n]\n"
    text = "".join(table.format(number) for number in range(1000))
    started = time.perf_counter()
    assert line_index(text)["providers", "p999", "list"] == 5997
    assert time.perf_counter() - started < 5
