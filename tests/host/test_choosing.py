"""Which of a plugin's components a table means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import ConfigError, Middleware
from tests.host.lives import Lively, noting
from tests.support.plugins import Echo, kernel_with, only_failure, plugin, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail import Problem


class Loud(Echo):
    pass


class Quiet(Echo):
    name = "soft"


TWO = {"p": plugin(providers=[Loud, Quiet])}


@pytest.mark.parametrize(("use", "chosen"), [("p:loud", Loud), ("p:soft", Quiet)])
async def test_a_table_names_a_component_after_the_plugin(use: str, chosen: type[Echo]) -> None:
    async with kernel_with({"providers": {"x": {"use": use}}}, **TWO) as kernel:
        assert type(kernel.generation.providers["x"]) is chosen


async def test_of_several_the_one_called_like_the_plugin_is_meant() -> None:
    made = plugin(providers=[Quiet, Loud])
    async with kernel_with({"providers": {"loud": {}}}, loud=made) as kernel:
        assert type(kernel.generation.providers["loud"]) is Loud


async def mistake(config: dict[str, object] | Path, **plugins: object) -> Problem:
    """The one mistake for which a kernel with `config` does not start."""
    error = await refusal(kernel_with(config, **plugins))
    assert isinstance(error, ConfigError)
    (problem,) = error.problems
    return problem


async def test_of_several_one_must_be_named() -> None:
    problem = await mistake({"providers": {"p": {}}}, **TWO)
    assert problem.where == "config mapping [providers.p]"
    assert problem.message == "`p` offers several of that kind"
    assert problem.hint == "say which in `use`: `p:loud`, `p:soft`"


@pytest.mark.parametrize(
    ("use", "hint"), [("p:laud", "did you mean `p:loud`?"), ("p:zzz", "it has `p:loud`, `p:soft`")]
)
async def test_a_component_that_is_not_there_is_met_with_those_that_are(
    use: str, hint: str, tmp_path: Path
) -> None:
    file = tmp_path / "dovetail.toml"
    file.write_text(f'[providers.x]\noptional = false\nuse = "{use}"\n')
    problem = await mistake(file, **TWO)
    assert problem.where == f"{file}:3 [providers.x] use"
    assert problem.message == f"`p` has no component `{use[2:]}`"
    assert problem.hint == hint


class Around(Middleware):
    async def before_chat(self, call: object) -> None: ...


BOTH = {"p": plugin(providers=[Loud], middleware=[Around])}


@pytest.mark.parametrize(
    ("tables", "plugins", "message", "hint"),
    [
        (
            '[sessions]\nuse = "p"',
            {"p": plugin(middleware=[Around])},
            "`p` is a middleware; [sessions] needs a session store",
            "put it under [[middleware]]",
        ),
        (
            '[[middleware]]\nuse = "p:loud"',
            TWO,
            "`p:loud` is a provider; [[middleware]] needs a middleware",
            "put it under [providers.NAME]",
        ),
        (
            '[sessions]\nuse = "p"',
            BOTH,
            "`p` is a provider and a middleware; [sessions] needs a session store",
            "put it under [providers.NAME] or [[middleware]]",
        ),
        (
            '[providers]\nx.use = "p:around"',
            BOTH,
            "`p:around` is a middleware; [providers.NAME] needs a provider",
            "put it under [[middleware]]",
        ),
        (
            '[providers]\nx.use = "p:middleware"',
            BOTH,
            "`p` has no component `middleware`",
            "it has `p:loud`",
        ),
    ],
)
async def test_a_table_of_another_kind_says_where_the_plugin_belongs(
    tables: str, plugins: dict[str, object], message: str, hint: str, tmp_path: Path
) -> None:
    file = tmp_path / "dovetail.toml"
    file.write_text(tables)
    problem = await mistake(file, **plugins)
    assert (problem.message, problem.hint) == (message, hint)
    assert problem.where.startswith(f"{file}:2 [")
    assert problem.where.endswith("use")


async def test_a_plugin_that_is_not_installed_is_told_at_its_use(tmp_path: Path) -> None:
    file = tmp_path / "dovetail.toml"
    file.write_text('[providers.x]\n\nuse = "lod"\n')
    failure = await only_failure(kernel_with(file, loud=plugin(providers=[Loud])))
    assert f"{file}:3 [providers.x] use" in str(failure)
    assert "did you mean `loud`?" in failure.hint
    assert failure.component == f"{file}:1 [providers.x]"


async def test_one_plugin_may_be_provider_and_middleware_under_one_name() -> None:
    class Same(Middleware):
        name = "loud"

        async def before_chat(self, call: object) -> None: ...

    made = plugin(providers=[Loud], middleware=[Same])
    config = {"providers": {"p": {}}, "middleware": [{"use": "p:loud"}]}
    async with kernel_with(config, p=made) as kernel:
        assert (await kernel.chat("hello")).text == "hello"


async def test_a_component_may_run_several_times_with_settings_of_its_own() -> None:
    config = {
        "providers": {
            "first": {"use": "p", "mark": "1"},
            "second": {"use": "p", "mark": "2"},
        }
    }
    async with kernel_with(config, p=plugin(providers=[noting([])])) as kernel:
        running = kernel.generation.providers
        assert {
            name: (i.instance, i.settings.mark)
            for name, i in running.items()
            if isinstance(i, Lively)
        } == {"first": ("first", "1"), "second": ("second", "2")}
