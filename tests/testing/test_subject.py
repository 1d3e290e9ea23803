"""What a contract does with what an author gives it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dovetail import PluginError
from dovetail.testing import FakeModel, Subject, fake, fake_plugin, plugin_of
from dovetail.testing.cost import import_cost, kernel_packages


class Other(FakeModel):
    pass


def run(tests: str, folder: Path, *options: str) -> str:
    (folder / "test_mine.py").write_text(tests)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            os.devnull,
            f"--rootdir={folder}",
            "-p",
            "no:cacheprovider",
            "-q",
            *options,
            str(folder / "test_mine.py"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_one_of_several_components_must_be_named() -> None:
    both = plugin_of(FakeModel, Other)
    with pytest.raises(PluginError, match="returns fake, other; name one"):
        Subject(both).component_class("providers")
    assert Subject(both, component="other").component_class("providers") is Other


def test_a_plugin_that_cannot_be_seen_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(PluginError, match="install its distribution"):
        Subject("no-such-plugin").load()


async def test_what_the_settings_refer_to_can_be_configured_with_it() -> None:
    more = {"providers": {"other": {"use": "subject"}}}
    subject = Subject(fake, config=more, env={"SAY": "hello"}, settings={"answers": ["${SAY}"]})
    async with subject.open({"providers": {"one": subject.table}}) as kernel:
        assert set(kernel.generation.providers) == {"one", "other"}
        assert (await kernel.chat("x", model="one")).text == "hello"


def test_a_contract_without_a_subject_says_what_to_write(tmp_path: Path) -> None:
    output = run(
        "from dovetail.testing import ChatProviderContract\n"
        "class TestMine(ChatProviderContract):\n    pass\n",
        tmp_path,
        "-x",
    )
    assert "give a fixture `subject` that returns a `dovetail.testing.Subject`" in output


def test_a_contract_takes_an_async_subject_of_any_scope(tmp_path: Path) -> None:
    output = run(
        "import pytest\n"
        "from dovetail.testing import ChatProviderContract, Subject, fake\n"
        "@pytest.fixture(scope='session')\n"
        "async def server(anyio_backend):\n    yield 'hello'\n"
        "class TestMine(ChatProviderContract):\n"
        "    @pytest.fixture\n"
        "    async def subject(self, server):\n"
        "        return Subject(fake, settings={'answers': [server]})\n",
        tmp_path,
        "-k",
        "answers or lists",
    )
    assert "2 passed" in output, output


def test_the_cost_of_an_import_is_shown_to_who_asks(tmp_path: Path) -> None:
    output = run(
        "import pytest\n"
        "from dovetail.testing import ChatProviderContract, Subject, fake\n"
        "class TestMine(ChatProviderContract):\n"
        "    @pytest.fixture\n"
        "    def subject(self):\n        return Subject(fake)\n",
        tmp_path,
        "-rP",
        "-k",
        "drags",
    )
    assert "importing `dovetail.testing.fake` takes" in output, output


def test_what_dovetail_depends_on_may_be_imported() -> None:
    assert {"dovetail", "pydantic", "pydantic_core", "httpx", "anyio"} <= kernel_packages()
    assert "pytest" not in kernel_packages()


def test_a_plugin_made_by_hand_has_nothing_to_import() -> None:
    assert import_cost(fake_plugin(), "", {}) is None


def test_a_module_that_cannot_be_imported_alone_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="no_such_module_at_all"):
        import_cost(None, "no_such_module_at_all:plugin", {})
