"""The engine `restricted`: what it can that the other cannot, and what it says of itself."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from dovetail import StartError
from dovetail_scripts import ScriptFailed
from plugins.scripts.tests.conftest import Scripts, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(scope="module")
async def restricted() -> AsyncIterator[Scripts]:
    """The engine."""
    async with opened(engine="restricted") as kernel:
        yield Scripts(kernel)


async def test_it_says_at_the_start_that_it_is_no_security_boundary() -> None:
    with capture_logs() as logs:
        async with opened(engine="restricted"):
            pass
    (warning,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert "no security boundary" in warning["event"]


async def test_the_other_has_nothing_to_warn_of() -> None:
    with capture_logs() as logs:
        async with opened():
            pass
    assert [entry for entry in logs if entry["log_level"] == "warning"] == []


async def test_without_restricted_python_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "RestrictedPython" else find(name)
    )
    with pytest.raises(StartError, match=r"pip install 'dovetail-scripts\[restricted\]'"):
        await opened(engine="restricted").start()


async def test_arguments_may_be_unpacked(restricted: Scripts) -> None:
    source = """
def joined(*words, function="", **more):
    return "-".join(words) + function + more.get("end", "")

x = joined(*["a", "b"], **{"function": "!", "end": "."})
print(*x, sep="")
"""
    result = await restricted.run(source)
    assert result.variables == {"x": "a-b!."}
    assert result.output == "a-b!.\n"


async def test_generators_and_classes_are_those_of_cpython(restricted: Scripts) -> None:
    source = """
class Counter:
    def __init__(self):
        self.n = 0

    def count(self):
        self.n = self.n + 1
        return self.n

def twice(numbers):
    for number in numbers:
        yield number * 2

c = Counter()
c.count()
a = [c.count(), list(twice([1, 2]))]
del c
b, (d, e) = 1, (2, 3)
"""
    result = await restricted.run(source)
    assert result.variables == {"a": [2, [2, 4]], "b": 1, "d": 2, "e": 3}


async def test_it_imports_a_few_modules_and_of_them_what_is_public(restricted: Scripts) -> None:
    source = """
import json
from datetime import timedelta
from re import findall
a = json.loads('[1]')
b = timedelta(days=1).total_seconds()
c = findall('[a-z]', '1a2b')
"""
    result = await restricted.run(source)
    assert result.variables == {"a": [1], "b": 86400.0, "c": ["a", "b"]}
    for inner in ("json.decoder", "json.codecs", "json.load"):
        with pytest.raises(ScriptFailed, match=r"AttributeError|TypeError|NoneType"):
            await restricted.run(f"import json\n{inner}.open('x')")


@pytest.mark.parametrize(
    ("operation", "gives"),
    [
        ("+=", 14),
        ("-=", 10),
        ("*=", 24),
        ("/=", 6.0),
        ("//=", 6),
        ("%=", 0),
        ("**=", 144),
        ("<<=", 48),
        (">>=", 3),
        ("|=", 14),
        ("^=", 14),
        ("&=", 0),
    ],
)
async def test_every_operation_in_place(operation: str, gives: float, restricted: Scripts) -> None:
    assert (await restricted.run(f"x = 12\nx {operation} 2")).variables == {"x": gives}
