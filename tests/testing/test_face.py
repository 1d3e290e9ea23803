"""`dovetail.testing` gives its names when they are used, and no sooner."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dovetail.testing
from dovetail import ChatProvider, PluginError
from dovetail.component import Component
from dovetail.testing import FakeModel, plugin_of


def test_the_names_for_type_checkers_are_those_that_are_loaded() -> None:
    tree = ast.parse(Path(dovetail.testing.__file__).read_text())
    shown = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert shown == vars(dovetail.testing)["_PLACES"]
    assert all(getattr(dovetail.testing, name).__module__ == shown[name] for name in shown)
    assert set(dovetail.testing.__all__) <= set(dir(dovetail.testing))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchThing"):
        _ = dovetail.testing.NoSuchThing


def test_the_fakes_need_no_pytest() -> None:
    program = (
        "import sys; from dovetail.testing import FakeModel, Gate, Subject, fake_plugin, plugin_of;"
        "fake_plugin(FakeModel('hello')); sys.exit('pytest' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_plugin_of_a_class_that_no_hook_returns_is_refused() -> None:
    class Nothing(Component):
        pass

    with pytest.raises(PluginError, match="`Nothing` is none of"):
        plugin_of(Nothing)


def test_a_plugin_by_hand_has_a_hook_for_each_kind() -> None:
    class Mine(FakeModel):
        pass

    plugin = plugin_of(Mine)
    assert plugin.__name__ == "mine"
    assert plugin.providers() == [Mine]
    assert issubclass(Mine, ChatProvider)
    assert not hasattr(plugin, "middleware")
