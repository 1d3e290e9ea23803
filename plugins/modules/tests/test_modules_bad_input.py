"""Bad input: what is circular, too much, broken, failing, hanging, or gone."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import pytest
from structlog.testing import capture_logs

from dovetail import Middleware, StageError
from dovetail.testing import Gate, plugin_of
from dovetail_modules import ModuleDefinition, ModulesSettings, StagedModuleResolver
from plugins.modules.tests.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dovetail import StageCall


def resolver(settings: ModulesSettings | None = None, /, **contents: str) -> StagedModuleResolver:
    modules = [ModuleDefinition(name=name, content=text) for name, text in contents.items()]
    return StagedModuleResolver(modules=modules, settings=settings)


async def resolved(template: str, /, **contents: str) -> str:
    found = await resolver(**contents).resolve_template_stages_1_and_2(template)
    return found.resolved_template


@pytest.mark.parametrize("length", [1, 2, 50])
async def test_a_circle_is_named_as_the_path_that_closes_it(length: int) -> None:
    names = [f"m{number}" for number in range(length)]
    following = [*names[1:], names[0]]
    contents = {name: f"{name} @{other}" for name, other in zip(names, following, strict=True)}
    settings = ModulesSettings(max_depth=60)
    with capture_logs() as lines:
        found = await resolver(settings, **contents).resolve_template_stages_1_and_2("@m0")
    path = " → ".join([*names, "m0"])
    assert found.errors == (f"module m0: circular: {path}",)
    assert [line["why"] for line in lines] == [f"circular: {path}"]
    assert found.resolved_template.startswith(" ".join(names) + " [module m0: circular: m0 → ")
    assert len(found.resolved_template) < 500


async def test_two_circles_are_both_named() -> None:
    found = await resolver(a="@b @c", b="@a", c="@b @c").resolve_template_stages_1_and_2("@a")
    assert sorted(found.errors) == [
        "module a: circular: a → b → a",
        "module c: circular: c → c",
    ]


async def test_a_module_that_two_others_name_is_no_circle() -> None:
    assert await resolved("@a @b", a="@c", b="@c", c="!") == "! !"


async def test_modules_lie_as_deep_as_they_may() -> None:
    contents = {f"m{number}": f"@m{number + 1}" for number in range(30)}
    found = await resolver(
        ModulesSettings(max_depth=5), **contents
    ).resolve_template_stages_1_and_2("@m0")
    assert found.resolved_template == "[module m5: lies more than 5 deep]"


async def test_ten_thousand_references_are_put_in() -> None:
    names = [f"m{number}" for number in range(10_000)]
    template = " ".join(f"@{name}" for name in names)
    contents = dict(zip(names, names, strict=True))
    assert await resolved(template, **contents) == " ".join(names)
    assert (await resolved(template)).count("not found") == 10_000
    chain = {name: f"@{other}" for name, other in pairwise(names)}
    assert "lies more than 20 deep" in await resolved("@m0", **chain)


async def test_ten_thousand_modules_may_name_one_another() -> None:
    names = [f"m{number}" for number in range(10_000)]
    contents = dict.fromkeys(names, "${trigger_context.x} @shared")
    found = await resolved(" ".join(f"@{name}" for name in names), **contents, shared="!")
    assert found.count("!") == 10_000


async def test_texts_that_double_at_each_step_are_cut() -> None:
    contents = {f"m{number}": f"@m{number + 1} @m{number + 1}" for number in range(19)}
    for last in ("x" * 100, "${trigger_context.x} and some more"):
        text = await resolved("@m0", **contents, m19=last)
        assert "characters]" in text
        assert len(text) < 100_000


async def test_a_prompt_has_an_end() -> None:
    settings = ModulesSettings(max_prompt=1000, max_length=300)
    template = "${trigger_context} @a " * 100
    found = await resolver(settings, a="x" * 200).resolve_template_stages_1_and_2(template)
    assert len(found.resolved_template) < 1100
    assert found.resolved_template.endswith("[module …: the prompt is too long]")


TEN_MEGABYTES = 10_000_000


async def test_a_script_that_returns_ten_megabytes_leaves_a_gap(world: World) -> None:
    world.write(huge_py=f"'x' * {TEN_MEGABYTES}\n")
    async with world.kernel("@huge!") as kernel:
        await kernel.chat("Hello")
    assert world.prompts() == ["[module huge: its script failed]!"]


async def test_a_model_that_says_ten_megabytes_is_stopped(world: World) -> None:
    world.write(huge_md='+++\nkind = "ai"\n+++\nTalk!')
    world.model.will_say(["x" * 10_000] * 1000, "answer")
    async with world.kernel("@huge!") as kernel:
        assert (await kernel.chat("Hello")).text == "answer"
    assert world.prompts() == ["[module huge: longer than 100,000 characters]!"]
    assert world.model.calls[0].closed
    assert world.model.calls[0].chunks == 11


async def test_a_text_of_ten_megabytes_leaves_a_gap() -> None:
    text = "x" * 1_000_000
    assert await resolved("@a!", a=text) == "[module a: longer than 100,000 characters]!"
    modules = [ModuleDefinition(name="a", content="${trigger_context.x}", required=True)]
    one = StagedModuleResolver(modules=modules)
    with pytest.raises(StageError, match="required"):
        await one.resolve_template_stages_1_and_2("@a", trigger_context={"x": text})


async def test_ten_megabytes_after_the_answer_leave_what_was_there(world: World) -> None:
    world.write(
        learnt_md='+++\nkind = "ai"\ntiming = "post_response"\ninitial = "old"\n+++\nTalk!',
        kept_py=f'# /// module\n# timing = "post_response"\n# ///\n"x" * {TEN_MEGABYTES}\n',
    )
    world.model.will_say("one", ["x" * 10_000] * 1000, "two")
    async with world.kernel("<@learnt> <@kept>", listens=True) as kernel:
        await kernel.chat("Hello", session="s")
        await kernel.chat("Hello", session="s")
    assert world.prompts()[1] == "<old> <>"
    first = world.listener.of("module_complete")[:2]
    told = {d["module"]: d["error"] for d in first}
    assert "100,000 characters" in told["learnt"]
    assert "output_limit" in told["kept"]


async def test_a_module_that_fails_harms_no_other(world: World) -> None:
    world.write(
        bad_py="1 / 0\n",
        asks_md='+++\nkind = "ai"\n+++\nTalk!',
        good_py="'fine'\n",
    )
    world.model.will_say(RuntimeError("boom"))
    async with world.kernel("@bad, @asks, @good", listens=True) as kernel:
        assert (await kernel.chat("Hello")).text == "Hello"
    assert world.prompts() == [
        "[module bad: its script failed], [module asks: its model did not answer], fine"
    ]
    told = {d["module"]: d["error"] for d in world.listener.of("module_complete")}
    assert "bad, line 1: ZeroDivisionError" in told["bad"]
    assert "boom" in told["asks"]
    assert told["good"] is None


async def test_a_required_module_that_fails_fails_the_turn(world: World) -> None:
    world.write(bad_py="# /// module\n# required = true\n# ///\n1 / 0\n")
    async with world.kernel("@bad") as kernel:
        with pytest.raises(StageError, match="`bad`, which is required, failed: bad, line 4"):
            await kernel.chat("Hello")
        assert not world.model.calls
        world.write(bad_py="# /// module\n# required = true\n# ///\n'mended'\n")
        await kernel.chat("Hello")
    assert world.prompts() == ["mended"]


async def test_a_required_module_after_the_answer_fails_the_turn_with_the_answer(
    world: World,
) -> None:
    world.write(
        bad_py='# /// module\n# required = true\n# timing = "post_response"\n# ///\n1 / 0\n'
    )
    async with world.kernel("@bad") as kernel:
        with pytest.raises(StageError) as caught:
            await kernel.chat("Hello", session="s")
        kept = await kernel.sessions.get_session("s")
    assert caught.value.response is not None
    assert caught.value.response.text == "Hello"
    assert kept is not None
    assert kept.message_count == 2


async def test_a_required_module_that_cannot_be_reached_fails_the_turn(world: World) -> None:
    world.write(round_md="+++\nrequired = true\n+++\n@round")
    async with world.kernel("@round") as kernel:
        with pytest.raises(StageError, match="required: circular: round → round"):
            await kernel.chat("Hello")


async def test_missing_modules_may_be_refused(world: World) -> None:
    async with world.kernel("@nobody", missing="refuse") as kernel:
        with pytest.raises(StageError, match="names the module `nobody`"):
            await kernel.chat("Hello")


async def test_a_module_that_hangs_is_given_up(world: World) -> None:
    world.write(
        slow_md='+++\nkind = "ai"\nlimits.time = "20ms"\n+++\nTalk!',
        good_md='+++\nkind = "ai"\n+++\nTalk!',
    )
    gate = Gate()
    world.model.will_say(lambda r: ["some", gate], "fine")
    async with world.kernel("@slow, @good") as kernel:
        await kernel.chat("Hello")
    assert world.prompts() == ["[module slow: took longer than 0.02 s], fine"]
    assert world.model.calls[0].closed


async def test_what_is_not_done_when_its_stage_ends_is_a_gap(world: World) -> None:
    for number in range(3):
        world.write(**{f"m{number}_md": f'+++\nkind = "ai"\npriority = {number}\n+++\n{number}'})
    gate = Gate()
    world.model.will_say("done", [gate], "answer")
    async with world.kernel("@m0, @m1, @m2", stage_timeout="50ms") as kernel:
        assert (await kernel.chat("Hello")).text == "answer"
    reason = "was not done after 0.05 s of its stage"
    assert world.prompts() == [f"done, [module m1: {reason}], [module m2: {reason}]"]


async def test_the_stages_limit_of_the_kernel_counts_too(world: World) -> None:
    world.write(slow_md='+++\nkind = "ai"\n+++\nTalk!')
    world.model.will_say([Gate()], "answer")
    tables = {"pipeline": {"stage_timeout": "100ms"}}
    async with world.kernel("@slow", tables=tables) as kernel:
        assert (await kernel.chat("Hello")).text == "answer"
    assert "was not done after 0.09 s" in world.prompts()[0]


async def test_a_required_module_that_hangs_fails_the_turn(world: World) -> None:
    world.write(slow_md='+++\nkind = "ai"\nrequired = true\n+++\nTalk!')
    world.model.will_say([Gate()])
    async with world.kernel("@slow", stage_timeout="20ms") as kernel:
        with pytest.raises(StageError, match="`slow`, which is required"):
            await kernel.chat("Hello")


async def test_broken_files_harm_no_other(world: World) -> None:
    world.write(good_md="fine", bad_md="+++\nkind = = 1\n+++\nx")
    (world.modules / "worse.md").write_bytes(b"\xff\xfe")
    with capture_logs() as lines:
        async with world.kernel("@good, @bad, @worse") as kernel:
            await kernel.chat("Hello")
            await kernel.chat("Hello")
    gaps = "[module bad: cannot be used], [module worse: cannot be used]"
    assert world.prompts() == [f"fine, {gaps}"] * 2
    told = [line["problem"] for line in lines if line["event"] == "a module cannot be used"]
    assert ["bad.md:2: it is no TOML" in told[0], "worse.md:1: " in told[1]] == [True, True]
    assert len(told) == 2


async def test_links_that_lead_nowhere_harm_no_other(world: World) -> None:
    world.write(good_md="fine")
    os.mkfifo(world.folder / "pipe")
    for name, target in {"loop": "loop.md", "lost": "nothing.md", "pipe": "../pipe"}.items():
        (world.modules / f"{name}.md").symlink_to(target)
    async with world.kernel("@good, @loop, @lost, @pipe") as kernel:
        async with asyncio.timeout(10):
            await kernel.chat("Hello")
    cannot, missing = "cannot be used", "not found"
    gaps = f"[module loop: {cannot}], [module lost: {cannot}], [module pipe: {missing}]"
    assert world.prompts() == [f"fine, {gaps}"]


class Deletes(Middleware):
    """Takes the modules away before each stage but the first."""

    name = "deletes"
    world: ClassVar[World]

    async def stage(
        self, call: StageCall, call_next: Callable[[StageCall], Awaitable[None]]
    ) -> None:
        if call.stage > 1:
            for file in self.world.modules.iterdir():
                file.unlink()
        await call_next(call)


async def test_a_module_that_is_deleted_between_stages_works_on_in_its_turn(world: World) -> None:
    world.write(
        plain_md="plain",
        topic_md='+++\nkind = "ai"\n+++\n@plain?',
        learnt_md='+++\nkind = "ai"\ntiming = "post_response"\n+++\n${response}',
    )
    Deletes.world = world
    world.model.will_say("wood", "answer", "learnt")
    tables = {"middleware": [{"use": "deletes"}]}
    plugins: dict[str, object] = {"deletes": plugin_of(Deletes)}
    async with world.kernel("@plain @topic @learnt", tables=tables, plugins=plugins) as kernel:
        await kernel.chat("Hello", session="s")
        await kernel.chat("Hello", session="s")
    first, second = world.prompts()
    assert first == "plain wood "
    assert second.count("not found") == 3
    assert [r.messages[0].text for r in world.model.requests][2] == "answer"


async def test_two_turns_at_once_do_not_meet(world: World) -> None:
    world.write(topic_md='+++\nkind = "ai"\n+++\n${message}')
    async with world.kernel("<@topic>") as kernel:
        await asyncio.gather(*(kernel.chat(f"Q{number}") for number in range(20)))
    assert sorted(world.prompts()) == sorted(f"<Q{number}>" for number in range(20))
