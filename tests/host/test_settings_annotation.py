"""How a component says which settings it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import FailureStage, Kernel
from tests.support.plugins import only_failure

if TYPE_CHECKING:
    from tests.support.distributions import Distributions

HEAD = """\
from typing import TYPE_CHECKING
from dovetail import Settings, hookimpl
from tests.support.plugins import Echo

if TYPE_CHECKING:
    from nowhere import Hidden

class Prefix(Settings):
    prefix: str = ""

"""
TAIL = """
@hookimpl
def providers():
    return [Made]
"""
CONFIG = {"providers": {"p": {"prefix": "> "}}}


@pytest.mark.parametrize(
    "source",
    [
        "class Made(Echo):\n    settings: Prefix\n",
        "class Made(Echo):\n    settings: 'Prefix'\n",
        "class Base(Echo):\n    settings: Prefix\nclass Made(Base):\n    other: 'Hidden'\n",
        "class Made(Echo):\n    class Inner(Prefix): ...\n    settings: Inner\n",
    ],
)
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
async def test_an_annotation_is_understood_as_text_or_not_inherited_or_not(
    installed: Distributions, future: str, source: str
) -> None:
    if "Hidden" in source and not future:
        source = source.replace("'Hidden'", "int")
    installed.add("p", future + HEAD + source + TAIL)
    async with Kernel.open(CONFIG, env={}) as kernel:
        (instance,) = [i for i in kernel.generation.instances if i.planned.entry.kind == "provider"]
        assert instance.component.settings.prefix == "> "  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ("Hidden", "`Hidden`, which does not exist at run time; import it outside"),
        ("dict", "annotate it with a subclass of `dovetail.Settings`"),
        ("Prefix | None", "annotate it with a subclass of `dovetail.Settings`"),
        ("Prefix.Missing", "`Prefix.Missing`, which does not exist"),
    ],
)
async def test_an_annotation_that_is_no_settings_model_says_what_to_write(
    installed: Distributions, annotation: str, said: str
) -> None:
    source = f"class Made(Echo):\n    settings: {annotation}\n"
    installed.add("p", "from __future__ import annotations\n" + HEAD + source + TAIL)
    failure = await only_failure(Kernel.open(CONFIG, env={}))
    assert failure.stage is FailureStage.REGISTER
    assert "`Made.settings` is annotated with" in str(failure)
    assert said in str(failure)


async def test_a_model_with_a_field_that_only_type_checkers_know_is_named(
    installed: Distributions,
) -> None:
    source = """
class Unfinished(Settings):
    path: Hidden

class Made(Echo):
    settings: Unfinished
"""
    installed.add("p", "from __future__ import annotations\n" + HEAD + source + TAIL)
    failure = await only_failure(Kernel.open(CONFIG, env={}))
    assert "`Unfinished`" in str(failure)
    assert "`Hidden`" in str(failure)
