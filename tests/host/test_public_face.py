"""`import dovetail` gives every public name, each when it is first used."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import dovetail

SOURCE = Path(dovetail.__file__)


def told_to_type_checkers() -> dict[str, str]:
    """What is imported under `if TYPE_CHECKING:`: name and module."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    block = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_type_checkers_are_told_of_the_names_that_are_there() -> None:
    told = told_to_type_checkers()
    assert set(dovetail.__all__) == {"__version__", *told}
    for name, module in told.items():
        assert getattr(importlib.import_module(module), name) is getattr(dovetail, name)


@pytest.mark.parametrize("name", dovetail.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(dovetail, name)
    assert name in dir(dovetail)
    if isinstance(value, type) or inspect.isroutine(value):
        assert value.__name__ == name
        assert (value.__doc__ or "").strip()
        assert not (value.__doc__ or "").startswith(f"{name}(")  # a dataclass's own signature


def test_no_public_name_is_a_submodules() -> None:
    assert not {module.name for module in pkgutil.iter_modules([str(SOURCE.parent)])} & set(
        dovetail.__all__
    )


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Kernle'"):
        dovetail.Kernle  # noqa: B018 - reading it is the test


def test_importing_dovetail_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import dovetail; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=SOURCE.parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['dovetail']"
