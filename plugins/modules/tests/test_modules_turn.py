"""Modules in the turns of a persona."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import dovetail_modules
from dovetail import ChatMessage, ChatRequest, ExecutionContext, Kernel, hookimpl
from dovetail.testing import Gate, fake_plugin
from dovetail_modules import ModuleDefinition
from dovetail_scripts import script_function

if TYPE_CHECKING:
    from plugins.modules.tests.world import World


def ask(text: str, **fields: Any) -> ChatRequest:
    return ChatRequest(messages=(ChatMessage.user(text),), **fields)


async def test_the_modules_a_template_names_are_put_in(world: World) -> None:
    world.write(greeting_md="Be kind.", rules_md="First: @greeting")
    async with world.kernel("You are Sage. @rules Mail: sage@example.org @@now") as kernel:
        await kernel.chat("Hello")
    assert world.prompts() == ["You are Sage. First: Be kind. Mail: sage@example.org @now"]


async def test_a_template_without_modules_stays_as_it_is(world: World) -> None:
    async with world.kernel("You are Sage.") as kernel:
        await kernel.chat("Hello")
    assert world.prompts() == ["You are Sage."]


async def test_without_a_persona_nothing_is_put_in(world: World) -> None:
    world.write(always_md="+++\nalways = true\n+++\nx")
    async with world.kernel("@always", tables={"chat": {"persona": ""}}) as kernel:
        await kernel.chat("Hello")
    assert world.prompts() == []


async def test_values_are_filled_in(world: World) -> None:
    world.write(who_md="${user} says ${message} in ${session} of ${persona}: ${trigger_context.x}")
    async with world.kernel("@who ${unknown} ${user.name}") as kernel:
        request = ask("hi", metadata={"x": {"y": [1]}})
        await kernel.chat(request, session="s-1", user="ada")
    assert world.prompts() == ['ada says hi in s-1 of sage: {"y": [1]} ${unknown} ${user.name}']


async def test_a_module_that_is_not_there_leaves_a_gap(world: World) -> None:
    async with world.kernel("Hi @nobody!") as kernel:
        assert (await kernel.chat("Hello")).text == "Hello"
    assert world.prompts() == ["Hi [module nobody: not found]!"]


async def test_what_stands_in_a_gap_can_be_chosen(world: World) -> None:
    async with world.kernel("Hi @nobody!", gap="({name})") as kernel:
        await kernel.chat("Hello")
    assert world.prompts() == ["Hi (nobody)!"]


async def test_a_file_that_changes_counts_from_the_next_turn(world: World) -> None:
    world.write(greeting_md="Be kind.")
    async with world.kernel("@greeting") as kernel:
        await kernel.chat("Hello")
        world.write(greeting_md="Be brief now.")
        await kernel.chat("Hello")
        (world.modules / "greeting.md").unlink()
        await kernel.chat("Hello")
    assert world.prompts() == ["Be kind.", "Be brief now.", "[module greeting: not found]"]


async def test_files_are_looked_at_only_as_often_as_it_is_said(world: World) -> None:
    world.write(greeting_md="Be kind.")
    async with world.kernel("@greeting", refresh="1h") as kernel:
        await kernel.chat("Hello")
        world.write(greeting_md="Be brief now.")
        await kernel.chat("Hello")
    assert world.prompts() == ["Be kind.", "Be kind."]


async def test_the_values_of_a_script_become_those_of_its_text(world: World) -> None:
    world.write(
        sums_py="""\
        # /// module
        # content = "${a} and ${b.c}, said ${user}"
        # ///
        a = 1 + 1
        b = {"c": "three"}
        """,
        reads_md="again ${sums.a}",
    )
    async with world.kernel("@sums; @reads") as kernel:
        await kernel.chat("Hello", user="ada")
    assert world.prompts() == ["2 and three, said ada; again 2"]


async def test_a_script_without_text_stands_for_its_last_value_or_what_it_prints(
    world: World,
) -> None:
    world.write(value_py="'a ' + 'value'\n", printed_py="print('printed')\n", data_py="[1, 2]\n")
    async with world.kernel("@value, @printed, @data") as kernel:
        await kernel.chat("Hello")
    assert world.prompts() == ["a value, printed, [1, 2]"]


async def test_a_script_sees_the_turn(world: World) -> None:
    world.write(
        sees_py="""\
        f"{user} {session} {persona} {message} {trigger_context['x']} {history(1)[0]['content']}"
        """
    )
    async with world.kernel("@sees") as kernel:
        await kernel.chat(ask("hi", metadata={"x": 1}), session="s", user="ada")
    assert world.prompts() == ["ada s sage hi 1 hi"]


async def test_a_script_without_an_engine_says_what_to_write(world: World) -> None:
    world.write(value_py="1\n")
    async with world.kernel("@value", scripts=False, listens=True) as kernel:
        await kernel.chat("Hello")
    (told,) = world.listener.of("module_complete")
    assert "write [plugins.scripts]" in told["error"]
    assert world.prompts() == ["[module value: cannot work here]"]


async def test_a_model_is_asked_before_the_answer(world: World) -> None:
    world.write(
        topic_md='+++\nkind = "ai"\nmax_tokens = 9\ntemperature = 0.5\n+++\n@rule Of ${message}?',
        rule_md="One word.",
    )
    world.model.will_say("joints", "the answer")
    async with world.kernel("Topic: @topic") as kernel:
        assert (await kernel.chat("What is a dovetail?")).text == "the answer"
    first, second = world.model.requests
    assert [m.text for m in first.messages] == ["One word. Of What is a dovetail??"]
    assert (first.max_tokens, first.temperature, first.model) == (9, 0.5, "main")
    assert second.messages[0].text == "Topic: joints"


async def test_a_module_asks_the_model_it_names_else_the_turns(world: World) -> None:
    world.write(
        own_md='+++\nkind = "ai"\nmodel = "fake/own"\n+++\nx',
        none_md='+++\nkind = "ai"\npriority = 1\n+++\ny',
    )
    async with world.kernel("@own @none") as kernel:
        await kernel.chat("Hello", model="fake/big")
    assert [request.model for request in world.model.requests] == ["own", "big", "big"]


async def test_what_a_model_says_is_not_taken_for_a_template(world: World) -> None:
    world.write(secret_md="SECRET", says_md='+++\nkind = "ai"\n+++\nx')
    world.model.will_say("@secret ${user} @{secret}")
    async with world.kernel("@says") as kernel:
        await kernel.chat("@secret", user="ada")
    assert world.prompts() == ["@secret ${user} @{secret}"]


async def test_a_script_asks_models(world: World) -> None:
    world.write(
        asks_py="""\
        # /// module
        # content = "${one}, ${two}"
        # ///
        one = generate("first", max_tokens=3)
        two = reflect("And?")
        """
    )
    world.model.will_say("eins", "zwei")
    async with world.kernel("You are Sage. @asks") as kernel:
        await kernel.chat("Hello")
    first, second, third = world.model.requests
    assert [m.text for m in first.messages] == ["first"]
    assert first.max_tokens == 3
    assert [m.text for m in second.messages] == ["You are Sage. @asks", "Hello", "And?"]
    assert third.messages[0].text == "You are Sage. eins, zwei"


async def test_what_works_after_the_answer_is_there_in_the_next_turn(world: World) -> None:
    world.write(
        learnt_md="""\
        +++
        kind = "ai"
        timing = "post_response"
        initial = "nothing yet"
        +++
        Before: ${previous}. Asked: ${message}. Said: ${response}.
        """
    )
    world.model.will_say("answer one", "joints", "answer two", "wood")
    async with world.kernel("Learnt: @learnt") as kernel:
        await kernel.chat("Q1", session="s")
        await kernel.chat("Q2", session="s")
        await kernel.chat("Q3", session="other")
    assert world.prompts() == ["Learnt: nothing yet", "Learnt: joints", "Learnt: nothing yet"]
    asked = [r.messages[0].text for r in world.model.requests if len(r.messages) == 1]
    assert asked[:2] == [
        "Before: nothing yet. Asked: Q1. Said: answer one.",
        "Before: joints. Asked: Q2. Said: answer two.",
    ]


async def test_a_reflecting_script_sees_the_answer(world: World) -> None:
    world.write(
        notes_py="""\
        # /// module
        # timing = "post_response"
        # content = "Note: ${note}"
        # ///
        note = reflect("What was that about?")
        """
    )
    world.model.will_say("the answer", "wood")
    async with world.kernel("Sage. @notes") as kernel:
        await kernel.chat("Question", session="s")
        await kernel.chat("More", session="s")
    told = [m.text for m in world.model.requests[1].messages]
    assert told == ["Sage. ", "Question", "the answer", "What was that about?"]
    assert world.prompts()[-2] == "Sage. Note: wood"


async def test_scripts_keep_things_from_turn_to_turn(world: World) -> None:
    world.write(
        mood_py="""\
        # /// module
        # content = "Mood ${level}"
        # ///
        level = get_state("mood", 0)
        """,
        lift_py="""\
        # /// module
        # timing = "post_response"
        # always = true
        # ///
        set_state("mood", get_state("mood", 0) + len(response))
        """,
    )
    world.model.will_say("four", "sixsix")
    async with world.kernel("@mood") as kernel:
        for _ in range(3):
            await kernel.chat("Hello", session="s")
        stored = await kernel.sessions.get_session("s")
    assert world.prompts() == ["Mood 0", "Mood 4", "Mood 10"]
    assert stored is not None
    assert list(stored.state) == ["modules"]


async def test_variables_of_the_last_turn_are_there_for_templates(world: World) -> None:
    world.write(
        mark_py='# /// module\n# timing = "post_response"\n# always = true\n# ///\nlevel = 7\n'
    )
    async with world.kernel("Level ${mark.level}") as kernel:
        await kernel.chat("Hello", session="s")
        await kernel.chat("Hello", session="s")
    assert world.prompts() == ["Level ${mark.level}", "Level 7"]


async def test_without_a_session_nothing_is_kept(world: World) -> None:
    world.write(count_py="n = get_state('n', 0) + 1\nset_state('n', n)\nn\n")
    async with world.kernel("@count") as kernel:
        await kernel.chat("Hello")
        await kernel.chat("Hello")
    assert world.prompts() == ["1", "1"]


@pytest.mark.parametrize(
    ("when", "acting"),
    [
        ('tags = ["vip"]', [True, False]),
        ('users = ["ada"]', [True, False]),
        ("session = true", [True, False]),
        ("session = false", [False, True]),
        ('trigger = ["door"]', [True, False]),
        ("first_turn = true", [True, True]),
        ("first_turn = false", [False, False]),
        ("every = 1", [True, False]),
    ],
)
async def test_a_module_acts_where_its_conditions_hold(
    world: World, when: str, acting: list[bool]
) -> None:
    world.write(extra_md=f"+++\n[when]\n{when}\n+++\nextra")
    context = ExecutionContext(session_id="s", user_id="ada", tags=["vip"])
    async with world.kernel("Sage. @extra") as kernel:
        await kernel.chat(ask("Hello", metadata={"door": "open"}), context=context)
        if when == "every = 1":
            world.write(extra_md="+++\n[when]\nevery = 2\n+++\nextra")
        await kernel.chat("Hello")
    assert [prompt.endswith("extra") for prompt in world.prompts()] == acting


async def test_a_module_may_act_every_so_many_turns(world: World) -> None:
    world.write(
        third_md="+++\nwhen = { every = 3 }\n+++\n!", first_md="+++\nwhen.first_turn = true\n+++\n?"
    )
    async with world.kernel("Hi@{third}@{first}") as kernel:
        for _ in range(6):
            await kernel.chat("Hello", session="s")
    assert world.prompts() == ["Hi?", "Hi", "Hi!", "Hi", "Hi", "Hi!"]


async def test_a_module_may_be_for_some_personas(world: World) -> None:
    world.write(sagely_md='+++\npersonas = ["sage"]\n+++\nwise')
    async with world.kernel("Be @sagely.") as kernel:
        await kernel.chat(ask("Hello"))
        await kernel.chat(ask("Hello", persona_id="other"))
    assert world.prompts() == ["Be wise.", "Be ."]


async def test_who_has_the_lowest_priority_works_first(world: World) -> None:
    for name, priority in (("late", 5), ("early", -5), ("middle", 0)):
        world.write(**{f"{name}_md": f'+++\nkind = "ai"\npriority = {priority}\n+++\n{name}'})
    async with world.kernel("@late @middle @early") as kernel:
        await kernel.chat("Hello")
    assert [r.messages[0].text for r in world.model.requests[:3]] == ["early", "middle", "late"]


async def test_a_module_works_after_those_its_prompt_names(world: World) -> None:
    world.write(
        summary_md='+++\nkind = "ai"\n+++\nShorten: @wrap',
        wrap_md="<@topic>",
        topic_md='+++\nkind = "ai"\npriority = 9\n+++\nTopic?',
    )
    world.model.will_say("wood", "w")
    async with world.kernel("@summary") as kernel:
        await kernel.chat("Hello")
    assert [r.messages[0].text for r in world.model.requests] == ["Topic?", "Shorten: <wood>", "w"]


async def test_a_module_that_only_later_ones_need_works_later(world: World) -> None:
    world.write(
        topic_md='+++\nkind = "ai"\n+++\nTopic?',
        learnt_md='+++\nkind = "ai"\ntiming = "post_response"\n+++\nOf @topic: ${response}',
    )
    world.model.will_say("the answer", "wood")
    async with world.kernel("@learnt") as kernel:
        await kernel.chat("Hello")
    assert [r.messages[-1].text for r in world.model.requests] == [
        "Hello",
        "Topic?",
        "Of wood: the answer",
    ]


async def test_independent_modules_work_side_by_side(world: World) -> None:
    gates = [Gate() for _ in range(20)]
    names = [f"m{number}" for number in range(20)]
    for name in names:
        world.write(**{f"{name}_md": f'+++\nkind = "ai"\n+++\n{name}'})
    for gate in gates:
        world.model.will_say([gate, "x"])
    async with world.kernel(" ".join(f"@{name}" for name in names)) as kernel:
        turn = asyncio.create_task(kernel.chat("Hello"))
        for gate in gates:
            await gate.reached()
        for gate in gates:
            gate.open()
        await turn
    assert world.prompts() == [" ".join("x" * 20)]


async def test_no_more_work_at_once_than_may(world: World) -> None:
    gates = [Gate() for _ in range(3)]
    for number in range(3):
        world.write(**{f"m{number}_md": f'+++\nkind = "ai"\n+++\n{number}'})
    for gate in gates:
        world.model.will_say([gate, "x"])
    async with world.kernel("@m0 @m1 @m2", at_once=2) as kernel:
        turn = asyncio.create_task(kernel.chat("Hello"))
        await gates[0].reached()
        await gates[1].reached()
        assert len(world.model.calls) == 2
        gates[0].open()
        await gates[2].reached()
        gates[1].open()
        gates[2].open()
        await turn


async def test_scripts_may_call_what_plugins_offer(world: World) -> None:
    class Offers:
        @staticmethod
        @hookimpl
        def script_functions() -> list[object]:
            @script_function
            def weather(place: str) -> str:
                return f"sun in {place}"

            return [weather]

    world.write(sky_py="weather('Rome')\n")
    async with world.kernel("@sky", plugins={"offers": Offers()}) as kernel:
        await kernel.chat("Hello")
    assert world.prompts() == ["sun in Rome"]


async def test_plugins_may_bring_modules(world: World) -> None:
    class Brings:
        @staticmethod
        @hookimpl
        def modules() -> list[object]:
            own = ModuleDefinition(name="hidden", content="of the plugin")
            return [{"name": "brought", "content": "by a plugin"}, own, {"name": "bad", "x": 1}]

    world.write(hidden_md="of the folder")
    async with world.kernel("@brought, @hidden, @bad", plugins={"brings": Brings()}) as kernel:
        await kernel.chat("Hello")
    assert world.prompts() == ["by a plugin, of the folder, [module bad: cannot be used]"]


async def test_settings_that_change_count_after_a_reload(world: World) -> None:
    file = world.folder / "dovetail.toml"
    text = (
        '[chat]\npersona = "sage"\n[personas.sage]\ntemplate = "@nobody"\n'
        f'[providers.fake]\n[plugins.modules]\nfolder = "{world.modules}"\nrefresh = 0\n'
    )
    file.write_text(text, encoding="utf-8")
    kernel = Kernel.open(file, env={}, discover_installed=False)
    kernel.register("modules", dovetail_modules).register("fake", fake_plugin(world.model))
    async with kernel:
        await kernel.chat("Hello")
        file.write_text(text + 'gap = "?"\n', encoding="utf-8")
        await kernel.reload()
        await kernel.chat("Hello")
        file.write_text(text.replace("@nobody", "@somebody"), encoding="utf-8")
        await kernel.reload()
        await kernel.chat("Hello")
    gaps = ["[module nobody: not found]", "?", "[module somebody: not found]"]
    assert world.prompts() == gaps


async def test_every_module_is_told_of(world: World) -> None:
    world.write(
        plain_md="text",
        topic_md='+++\nkind = "ai"\n+++\nTopic?',
        note_py='# /// module\n# timing = "post_response"\n# always = true\n# ///\nx = 1\n',
    )
    world.model.will_say(["wo", "od"], "answer")
    async with world.kernel("@plain @topic @nobody", listens=True) as kernel:
        await kernel.chat("Hello", session="s", user="ada")
    started = [(d["module"], d["stage"], d["kind"]) for d in world.listener.of("module_start")]
    assert started == [
        ("plain", "template", "simple"),
        ("topic", "pre_response", "ai"),
        ("note", "post_response", "script"),
    ]
    ended = {d["module"]: d for d in world.listener.of("module_complete")}
    assert ended["plain"]["chars"] == ended["topic"]["chars"] == 4
    assert ended["nobody"]["error"] == "not found"
    assert ended["topic"]["error"] is None
    assert ended["topic"]["seconds"] > 0
    assert (ended["note"]["session_id"], ended["note"]["user_id"]) == ("s", "ada")
    assert [d["text"] for d in world.listener.of("module_chunk")] == ["wo", "od"]
    prompts = {d["stage"]: d["prompt"] for d in world.listener.of("stage_complete")}
    assert prompts["template"] == "text @topic [module nobody: not found]"
    assert prompts["pre_response"] == "text wood [module nobody: not found]"
