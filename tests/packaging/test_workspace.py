"""Every plugin of the workspace takes part in the checks and keeps to the public face."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(p.parent for p in ROOT.glob("plugins/*/pyproject.toml"))


def read(project: Path) -> dict[str, Any]:
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))


def packages(plugin: Path) -> list[str]:
    return sorted(p.parent.name for p in plugin.glob("src/*/__init__.py"))


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_the_type_check_finds_every_plugin() -> None:
    paths = read(ROOT)["tool"]["mypy"]["mypy_path"]
    expected = {f"$MYPY_CONFIG_FILE_DIR/plugins/{p.name}/src" for p in PLUGINS}
    assert expected <= set(paths)


def test_the_import_rules_cover_every_plugin() -> None:
    linter = read(ROOT)["tool"]["importlinter"]
    ours = {package for plugin in PLUGINS for package in packages(plugin)}
    assert set(linter["root_packages"]) == {"dovetail"} | ours
    rules = linter["contracts"][1:]
    protected = [module for rule in rules for module in rule["protected_modules"]]
    assert sorted(protected) == sorted(ours)


def needs(plugin: Path, *, extras: bool) -> set[str]:
    """What it depends on, perhaps only with one of its extras."""
    project = read(plugin)["project"]
    more = project.get("optional-dependencies", {}).values() if extras else ()
    named = [*project["dependencies"], *(name for extra in more for name in extra)]
    return {name.partition("[")[0] for name in named}


def test_a_plugin_is_imported_by_those_alone_that_depend_on_it() -> None:
    """By all of a plugin, or by a package in it that only who has an extra imports."""
    plugins = {packages(plugin)[0]: plugin for plugin in PLUGINS}
    for rule in read(ROOT)["tool"]["importlinter"]["contracts"][1:]:
        for importer in rule["allowed_importers"]:
            package, _, inner = importer.partition(".")
            needed = needs(plugins[package], extras=bool(inner))
            for module in rule["protected_modules"]:
                assert module.replace("_", "-") in needed


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_a_plugin_is_one_typed_package_named_after_its_id(plugin: Path) -> None:
    project = read(plugin)["project"]
    (package,) = packages(plugin)
    assert project["name"] == f"dovetail-{plugin.name}"
    assert project["entry-points"]["dovetail.v1"] == {plugin.name: package}
    assert (plugin / "src" / package / "py.typed").exists()
    assert (plugin / "README.md").exists()


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_the_tests_of_a_plugin_need_nothing_a_stranger_has_not(plugin: Path) -> None:
    names = {name for file in plugin.glob("tests/**/*.py") for name in imported(file)}
    of_the_kernel = {name for name in names if name.split(".")[0] == "dovetail"}
    allowed = {"dovetail", "dovetail.testing"}
    assert {n for n in of_the_kernel if not n.startswith("dovetail.testing.")} <= allowed
