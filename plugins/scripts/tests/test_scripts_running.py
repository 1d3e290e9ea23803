"""What a script is given, and what it leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from dovetail_scripts import (
    ScriptError,
    ScriptFailed,
    ScriptLimits,
    ScriptOutputTooLong,
    ScriptSyntaxError,
    ScriptTimeout,
)

if TYPE_CHECKING:
    from plugins.scripts.tests.conftest import Host, Scripts

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


async def test_the_variables_it_sets_come_back(scripts: Scripts) -> None:
    result = await scripts.run(
        "greeting = 'Hello ' + name\nmood = {'joy': [1, 2.5, None, True], 'ü': '木'}\n",
        inputs={"name": "Ada"},
    )
    assert result.variables == {
        "greeting": "Hello Ada",
        "mood": {"joy": [1, 2.5, None, True], "ü": "木"},
    }
    assert (result.value, result.output, result.calls, result.skipped) == (None, "", {}, ())


async def test_an_input_comes_back_only_if_it_was_changed(scripts: Scripts) -> None:
    given: dict[str, Any] = {"mood": 1, "name": "Ada", "notes": ["a"], "old": ["b"]}
    result = await scripts.run("mood = mood + 1\nnotes.append('c')", inputs=given)
    assert result.variables == {"mood": 2, "notes": ["a", "c"]}
    assert given == {"mood": 1, "name": "Ada", "notes": ["a"], "old": ["b"]}


async def test_what_is_no_json_data_is_left_out_and_named(scripts: Scripts) -> None:
    result = await scripts.run(
        "import math\nwords = {'a'}\ndef f(): pass\ngood = (1, 2)\nnan = float('nan')"
    )
    assert result.variables == {"good": [1, 2]}
    assert set(result.skipped) == {"math", "words", "f", "nan"}


async def test_the_value_of_the_last_line_and_what_was_printed(scripts: Scripts) -> None:
    result = await scripts.run("print('one', 2)\nprint('three', end='')\n[1, 'two']")
    assert (result.value, result.output) == ([1, "two"], "one 2\nthree")
    assert result.variables == {}
    assert result.seconds > 0


async def test_what_is_printed_while_variables_are_taken_is_the_scripts_too(
    monty: Scripts, capfd: pytest.CaptureFixture[str]
) -> None:
    result = await monty.run("def locals():\n    print('noise')\n    return {'x': 1}")
    assert (result.output, result.variables) == ("noise\n", {"x": 1})
    assert capfd.readouterr().out == ""


async def test_an_empty_script_leaves_nothing(scripts: Scripts) -> None:
    result = await scripts.run("# nothing to do\n")
    assert (result.variables, result.value, result.output) == ({}, None, "")


async def test_one_script_sees_nothing_of_another(scripts: Scripts) -> None:
    await scripts.run("left_behind = 1\nimport json")
    with pytest.raises(ScriptFailed, match="left_behind"):
        await scripts.run("left_behind")


async def test_an_error_names_module_line_and_source_line(scripts: Scripts) -> None:
    source = "def share(cake):\n    return 1 / cake\n\nprint('so far')\nshare(0)\n"
    with pytest.raises(ScriptFailed) as caught:
        await scripts.run(source, name="cakes")
    error = caught.value
    assert (error.module, error.line, error.source_line) == ("cakes", 2, "return 1 / cake")
    assert str(error) == ("cakes, line 2: ZeroDivisionError: division by zero\n    return 1 / cake")
    assert error.output == "so far\n"


async def test_a_syntax_error_names_them_too(scripts: Scripts) -> None:
    with pytest.raises(ScriptSyntaxError) as caught:
        await scripts.run("x = 1\ny = = 2\n", name="typo")
    error = caught.value
    assert (error.module, error.line, error.source_line) == ("typo", 2, "y = = 2")


async def test_checking_tells_what_is_wrong_and_runs_nothing(scripts: Scripts) -> None:
    (problem,) = await scripts.engine.check("x = 1\ny = = 2\n", "typo")
    assert (problem.where, problem.hint) == ("typo, line 2", "y = = 2")
    assert problem.message
    assert await scripts.engine.check("while True: pass", "loop") == []
    assert await scripts.engine.check("generate('x')\nunknown()", "names") == []


async def test_a_script_that_is_too_long_is_a_problem_too(scripts: Scripts) -> None:
    (problem,) = await scripts.engine.check("x = 1\n" * 100_000, "long")
    assert problem.message == "it is longer than 200,000 characters"


async def test_the_time_can_be_set(scripts: Scripts) -> None:
    at_noon = await scripts.run("t = now()\nh = t.hour\ns = t.isoformat()\n", now=NOON)
    assert at_noon.variables == {"h": 12, "s": "2026-11-20T12:00:00+00:00"}
    zone = timezone(timedelta(hours=2))
    there = await scripts.run("h = now().hour", now=NOON.astimezone(zone))
    assert there.variables == {"h": 14}
    before = datetime.now(UTC)
    real = await scripts.run("s = now().isoformat()")
    assert before <= datetime.fromisoformat(real.variables["s"]) <= datetime.now(UTC)


async def test_datetimes_may_be_given(scripts: Scripts) -> None:
    result = await scripts.run("d = (now() - seen).days", inputs={"seen": NOON}, now=NOON)
    assert result.variables == {"d": 0}


async def test_the_dice_can_be_loaded(scripts: Scripts) -> None:
    source = (
        "import random as module\n"
        "a = [random(), randint(1, 6), choice(['x', 'y']), module.random()]"
    )
    first, again, other = [await scripts.run(source, seed=seed) for seed in (7, 7, 8)]
    assert first.variables == again.variables != other.variables
    fair = [(await scripts.run("a = random()")).variables["a"] for _ in range(2)]
    assert fair[0] != fair[1]


async def test_awaiting_a_host_function_is_allowed(monty: Scripts, host: Host) -> None:
    source = (
        "async def ask(q):\n    return await generate(q)\na = await ask('x')\nb = generate('y')"
    )
    result = await monty.run(source, functions=host.functions())
    assert result.variables == {"a": "about x", "b": "about y"}


async def test_inputs_must_be_data_with_names(scripts: Scripts) -> None:
    with pytest.raises(ScriptFailed, match="the input `tags` holds a set"):
        await scripts.run("1", inputs={"tags": {1}})
    with pytest.raises(ScriptFailed, match="the input `two words` has a name"):
        await scripts.run("1", inputs={"two words": 1})
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(ScriptFailed, match="or in themselves"):
        await scripts.run("1", inputs={"cycle": cycle})


async def test_limits_of_one_run_only_lower_those_of_the_config(scripts: Scripts) -> None:
    config = scripts.engine.settings
    with pytest.raises(ScriptOutputTooLong, match=f"{config.output_limit:,} characters"):
        await scripts.run(f"x = 'x' * {config.output_limit}", limits=ScriptLimits(output=10**9))
    with pytest.raises(ScriptOutputTooLong, match="10 characters"):
        await scripts.run("x = 'x' * 10", limits=ScriptLimits(output=10))
    with pytest.raises(ScriptTimeout, match=r"more than 0\.1 s of its own"):
        await scripts.run("while True: pass", limits=ScriptLimits(time=0.1))


async def test_all_that_is_left_together_has_to_fit(scripts: Scripts) -> None:
    with pytest.raises(ScriptOutputTooLong):
        await scripts.run("a = b = c = 'x' * 40", limits=ScriptLimits(output=100))


async def test_errors_can_be_copied(scripts: Scripts) -> None:
    import pickle

    with pytest.raises(ScriptError) as caught:
        await scripts.run("1 / 0", name="cakes")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.line) == (ScriptFailed, str(caught.value), 1)
