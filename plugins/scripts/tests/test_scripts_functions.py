"""Host functions: those of the caller, those of plugins, and what a script may do with them."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import Field

import dovetail_scripts
from dovetail import (
    AuthenticationError,
    ExecutionContext,
    Kernel,
    PluginError,
    current_context,
    hookimpl,
)
from dovetail_scripts import (
    ScriptCallFailed,
    ScriptFailed,
    ScriptLimits,
    ScriptTooManyCalls,
    script_function,
)
from plugins.scripts.tests.conftest import Scripts, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from pathlib import Path

    from plugins.scripts.tests.conftest import Host


async def test_a_script_calls_what_it_is_given(scripts: Scripts, host: Host) -> None:
    result = await scripts.run(
        "a = generate('joints')\nb = generate(prompt='oak', model='small')\nc = settings()",
        functions=host.functions(),
    )
    assert result.variables == {"a": "about joints", "b": "about oak", "c": {"a": [1]}}
    assert result.calls == {"generate": 2, "settings": 1}
    assert host.asked == ["joints", "oak"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("generate()", "generate() missing a required argument: 'prompt'"),
        ("generate('a', size=1)", "generate() got an unexpected keyword argument 'size'"),
        ("generate(3)", "generate(): `prompt`: Input should be a valid string"),
        ("generate('a', model=None)", "generate(): `model`: Input should be a valid string"),
        ("bad()", "bad() gave an object, which a script cannot get"),
    ],
)
async def test_a_call_that_does_not_fit_is_a_type_error_in_the_script(
    call: str, told: str, scripts: Scripts, host: Host
) -> None:
    functions = host.functions()
    with pytest.raises(ScriptFailed) as caught:
        await scripts.run(f"x = 1\n{call}", functions=functions)
    assert caught.value.message == f"TypeError: {told}"
    assert (caught.value.line, caught.value.source_line) == (2, call)
    tried = f"try:\n    {call}\nexcept TypeError as error:\n    said = str(error)"
    assert (await scripts.run(tried, functions=functions)).variables == {"said": told}
    assert host.asked == []


async def test_a_name_that_is_almost_right_is_guessed(monty: Scripts, host: Host) -> None:
    with pytest.raises(ScriptFailed, match="did you mean `generate`"):
        await monty.run("genrate('x')", functions=host.functions())


async def test_annotations_convert_and_confine(scripts: Scripts) -> None:
    @script_function
    def sized(size: Annotated[int, Field(ge=1, le=9)], *words: str, **more: int) -> list[Any]:
        return [size, list(words), more]

    functions = {"sized": sized}
    result = await scripts.run("x = sized('3', 'a', 'b', c=1)", functions=functions)
    assert result.variables == {"x": [3, ["a", "b"], {"c": 1}]}
    for call in ("sized(10)", "sized(1, 2)", "sized(1, c='x')"):
        with pytest.raises(ScriptFailed, match="TypeError: sized"):
            await scripts.run(call, functions=functions)


async def test_plain_functions_do_as_well(scripts: Scripts) -> None:
    async def fetch(key: str) -> str:
        return key.upper()

    functions: dict[str, Callable[..., Any]] = {"add": lambda a, b: a + b, "fetch": fetch}
    result = await scripts.run("x = add(1, 2)\ny = fetch('k')", functions=functions)
    assert result.variables == {"x": 3, "y": "K"}


async def test_what_one_of_ours_raises_is_told_and_is_the_cause(scripts: Scripts) -> None:
    async def generate(prompt: str) -> str:
        raise AuthenticationError("no such key: sk-abcdefghijklmnopqrstuvwxyz123456")

    functions = {"generate": generate}
    tried = "try:\n    generate('x')\nexcept RuntimeError as error:\n    said = str(error)"
    said = (await scripts.run(tried, functions=functions)).variables["said"]
    assert said == "generate() failed: no such key: sk-***"
    with pytest.raises(ScriptCallFailed) as caught:
        await scripts.run("generate('x')", functions=functions)
    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert caught.value.line == 1


async def test_of_other_errors_a_script_learns_the_class_alone(scripts: Scripts) -> None:
    def lookup(key: str) -> str:
        return {"password": "oak"}[f"{key} of the host"]

    with pytest.raises(ScriptCallFailed) as caught:
        await scripts.run("lookup('x')", functions={"lookup": lookup})
    assert caught.value.message == "RuntimeError: lookup() failed: KeyError"
    assert isinstance(caught.value.__cause__, KeyError)


async def test_calls_are_counted_and_confined(scripts: Scripts, host: Host) -> None:
    with pytest.raises(ScriptTooManyCalls) as caught:
        await scripts.run(
            "for i in range(9):\n    generate(str(i))",
            functions=host.functions(),
            limits=ScriptLimits(calls=3),
        )
    assert (caught.value.line, caught.value.source_line) == (2, "generate(str(i))")
    assert host.asked == ["0", "1", "2"]


async def test_a_call_in_evaluated_text_is_counted_too(monty: Scripts, host: Host) -> None:
    with pytest.raises(ScriptTooManyCalls) as caught:
        await monty.run(
            "eval('generate(1)')", functions=host.functions(), limits=ScriptLimits(calls=0)
        )
    assert (caught.value.module, caught.value.line) == ("mood", None)


async def test_the_time_and_the_dice_are_not_counted(scripts: Scripts) -> None:
    result = await scripts.run(
        "for i in range(20):\n    random()\nx = now().year", limits=ScriptLimits(calls=0)
    )
    assert result.calls == {"random": 20, "now": 1}


async def test_its_own_time_does_not_run_while_it_waits(scripts: Scripts) -> None:
    import asyncio

    async def wait() -> None:
        await asyncio.sleep(1.2)

    result = await scripts.run(
        "wait()\nx = 1", functions={"wait": wait}, limits=ScriptLimits(time=1)
    )
    assert result.variables == {"x": 1}
    assert result.seconds < 1


async def test_the_work_it_belongs_to_is_current_in_host_functions(scripts: Scripts) -> None:
    context = ExecutionContext(session_id="s-1")

    def whose() -> str:
        current = current_context()
        assert current is context
        return str(current.session_id)

    result = await scripts.run("x = whose()", functions={"whose": whose}, context=context)
    assert result.variables == {"x": "s-1"}


def offering(*functions: Callable[..., Any]) -> types.ModuleType:
    """A plugin that offers functions."""
    module = types.ModuleType("offering")

    @hookimpl
    def script_functions() -> list[Callable[..., Any]]:
        return list(functions)

    module.script_functions = script_functions  # type: ignore[attr-defined]
    return module


@script_function(name="lookup")
async def look_up(key: str) -> str:
    """What another plugin offers."""
    return f"{key} of the plugin"


async def test_plugins_offer_functions_to_every_script() -> None:
    async with opened(offering(look_up)) as kernel:
        scripts = Scripts(kernel)
        assert (await scripts.run("x = lookup('k')")).variables == {"x": "k of the plugin"}
        given = {"lookup": lambda key: f"{key} of the caller"}
        mine = await scripts.run("x = lookup('k')", functions=given)
        assert mine.variables == {"x": "k of the caller"}


async def test_a_reload_brings_the_functions_of_new_plugins(tmp_path: Path) -> None:
    config = tmp_path / "dovetail.toml"
    config.write_text("[plugins.scripts]\n", encoding="utf-8")
    kernel = Kernel.open(config, env={}, discover_installed=False)
    kernel.register("scripts", dovetail_scripts).register("words", offering(look_up))
    async with kernel:
        scripts = Scripts(kernel)
        with pytest.raises(ScriptFailed, match="'lookup' is not defined"):
            await scripts.run("lookup('k')")
        config.write_text("[plugins.scripts]\n[plugins.words]\n", encoding="utf-8")
        await kernel.reload()
        assert (await scripts.run("x = lookup('k')")).variables == {"x": "k of the plugin"}


@pytest.mark.parametrize(
    ("functions", "told"),
    [
        ([look_up, look_up], "a function `lookup`, which plugin `words` has already"),
        ([script_function(name="now")(lambda: 1)], "`now`, which plugin `scripts` has already"),
    ],
)
async def test_a_name_is_offered_once(functions: list[Any], told: str) -> None:
    async with opened(offering(*functions)) as kernel:
        with pytest.raises(PluginError, match=told):
            await Scripts(kernel).run("1")


async def test_annotations_for_type_checkers_only_are_refused() -> None:
    @script_function
    def pay(amount: Decimal) -> str:
        return str(amount)

    async with opened(offering(pay)) as kernel:
        with pytest.raises(PluginError, match=r"`pay` cannot be used.*TYPE_CHECKING"):
            await Scripts(kernel).run("1")


def test_a_function_for_scripts_is_still_a_function() -> None:
    @script_function(writes=True)
    def shout(text: str) -> str:
        """Louder."""
        return text.upper()

    assert (shout("a"), shout.name, shout.writes, shout.__doc__) == ("A", "shout", True, "Louder.")


@pytest.mark.parametrize("name", ["_hidden", "two words", "1st"])
def test_a_name_that_no_script_could_write_is_refused(name: str) -> None:
    with pytest.raises(PluginError, match="cannot be the name of a script function"):
        script_function(name=name)(lambda: 1)
