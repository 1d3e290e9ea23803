"""`StagedModuleResolver` for programs that hold their turns themselves."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import (
    ChatMessage,
    ChatResponse,
    ExecutionContext,
    Session,
    StageError,
    ValidationFailed,
)
from dovetail.testing import FakeModel, Gate
from dovetail_modules import ModuleDefinition, StagedModuleResolver, TemplateResolution

if TYPE_CHECKING:
    from plugins.modules.tests.world import World

GREETING = ModuleDefinition(name="greeting", content="Hi ${trigger_context.who}")
TOPIC = ModuleDefinition(name="topic", kind="ai", content="Topic of ${message}?")  # type: ignore[arg-type]  # as files say it
LEARNT = ModuleDefinition.model_validate(
    {"name": "learnt", "kind": "ai", "timing": "POST_RESPONSE", "content": "So: ${response}"}
)
TEMPLATE = "@greeting, @topic. @learnt"


async def test_a_turn_of_a_program_has_two_halves() -> None:
    model = FakeModel("wood", "joints", "more wood")
    session = Session(session_id="s")
    resolver = StagedModuleResolver(session, modules=[GREETING, TOPIC, LEARNT])
    trigger = {"who": "Ada", "message": "dovetails"}
    found = await resolver.resolve_template_stages_1_and_2(
        TEMPLATE, "r-1", "s", "sage", None, trigger, model, {"seed_of": 1}, {"temperature": 0.5}
    )
    assert isinstance(found, TemplateResolution)
    assert found.resolved_template == "Hi Ada, wood. "
    assert found.prompts == {1: "Hi Ada, @topic. ", 2: "Hi Ada, wood. "}
    assert [(run.module, run.kind, run.error) for run in found.modules] == [
        ("greeting", "simple", None),
        ("topic", "ai", None),
    ]
    (asked,) = model.requests
    assert asked.messages[0].text == "Topic of dovetails?"
    assert (asked.temperature, asked.extras) == (0.5, {"seed_of": 1})
    done = await resolver.execute_post_response_stages(
        TEMPLATE, "the answer", "r-1", "s", "sage", None, trigger, model, None, None
    )
    assert done.texts == {"learnt": "joints"}
    assert done.state_changed
    again = await resolver.resolve_template_stages_1_and_2(
        TEMPLATE, conversation_id="s", trigger_context=trigger, current_provider=model
    )
    assert again.resolved_template == "Hi Ada, more wood. joints"
    assert json.loads(again.model_dump_json())["modules"][0]["module"] == "greeting"


async def test_everything_but_the_template_may_be_left_out() -> None:
    resolver = StagedModuleResolver(modules=[ModuleDefinition(name="a", content="x")])
    found = await resolver.resolve_template_stages_1_and_2("<@a> @b")
    assert found.resolved_template == "<x> [module b: not found]"
    assert found.errors == ("module b: not found",)
    done = await resolver.execute_post_response_stages("<@a>", "answer")
    assert done.modules == ()
    assert not done.state_changed


async def test_the_answer_may_be_a_response_or_a_message() -> None:
    module = ModuleDefinition.model_validate(
        {"name": "said", "timing": "post_response", "content": "${response}"}
    )
    resolver = StagedModuleResolver(modules=[module])
    message = ChatMessage.assistant("yes")
    for answer in ("yes", message, ChatResponse(message=message)):
        done = await resolver.execute_post_response_stages("@said", answer)
        assert done.texts == {"said": "yes"}


@pytest.mark.parametrize("managed", [True, False])
async def test_a_store_keeps_what_modules_leave(world: World, managed: bool) -> None:
    model = FakeModel("joints")
    async with world.kernel("unused") as kernel:
        db = kernel.sessions if managed else kernel.sessions.store
        resolver = StagedModuleResolver(db, modules=[LEARNT])
        await resolver.execute_post_response_stages(
            "@learnt", "x", conversation_id="s", provider=model
        )
        other = StagedModuleResolver(modules=[LEARNT])
        found = await other.resolve_template_stages_1_and_2("<@learnt>", "s", db_session=db)
        stranger = await other.resolve_template_stages_1_and_2("<@learnt>", "t", db_session=db)
    assert found.resolved_template == "<joints>"
    assert stranger.resolved_template == "<>"


async def test_the_user_of_a_call_is_remembered_in_a_store(world: World) -> None:
    module = ModuleDefinition.model_validate({**LEARNT.model_dump(), "scope": "user"})
    trigger, other = {"user_id": "ada"}, ExecutionContext(user_id="ada", session_id="other")
    async with world.kernel("unused") as kernel:
        resolver = StagedModuleResolver(kernel.sessions, modules=[module])
        await resolver.execute_post_response_stages(
            "@learnt", "x", "s", trigger_context=trigger, provider=FakeModel("joints")
        )
        by_id = await resolver.resolve_template_stages_1_and_2(
            "<@learnt>", conversation_id="other", trigger_context=trigger
        )
        by_context = await resolver.resolve_template_stages_1_and_2("<@learnt>", context=other)
    assert by_id.resolved_template == by_context.resolved_template == "<joints>"


async def test_a_model_has_to_be_given() -> None:
    resolver = StagedModuleResolver(modules=[TOPIC])
    found = await resolver.resolve_template_stages_1_and_2("@topic")
    assert found.resolved_template == "[module topic: cannot work here]"
    assert "give the resolver one" in found.errors[0]


async def test_a_control_that_is_none_is_named() -> None:
    resolver = StagedModuleResolver(modules=[TOPIC])
    found = await resolver.resolve_template_stages_1_and_2(
        "@topic", current_provider=FakeModel(), chat_controls={"temprature": 1}
    )
    assert "did you mean `temperature`?" in found.errors[0]


async def test_a_required_module_raises() -> None:
    module = ModuleDefinition.model_validate({**TOPIC.model_dump(), "required": True})
    resolver = StagedModuleResolver(modules=[module])
    with pytest.raises(StageError, match="`topic`, which is required"):
        await resolver.resolve_template_stages_1_and_2(
            "@topic", current_provider=FakeModel(ValidationFailed("x", []))
        )


async def test_a_cancelled_call_closes_the_model() -> None:
    gate = Gate()
    model = FakeModel(["some", gate])
    resolver = StagedModuleResolver(modules=[TOPIC])
    call = asyncio.create_task(
        resolver.resolve_template_stages_1_and_2("@topic", current_provider=model)
    )
    await gate.reached()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert model.calls[0].closed


async def test_a_kernels_resolver_has_its_models_scripts_and_listeners(world: World) -> None:
    world.write(
        sums_py="1 + 1\n",
        topic_md='+++\nkind = "ai"\n+++\nTopic?',
    )
    world.model.will_say("wood", "oak")
    async with world.kernel("unused", listens=True) as kernel:
        resolver = kernel.services.get("module_service").resolver()
        found = await resolver.resolve_template_stages_1_and_2("@sums @topic")
        other = await resolver.resolve_template_stages_1_and_2(
            "@topic", current_provider="fake/other"
        )
    assert (found.resolved_template, other.resolved_template) == ("2 wood", "oak")
    assert [r.model for r in world.model.requests] == ["main", "other"]
    assert [d["module"] for d in world.listener.of("module_complete")] == ["sums", "topic", "topic"]


async def test_a_reflection_after_the_answer_sees_the_prompt_that_was(world: World) -> None:
    world.write(
        note_py='# /// module\n# timing = "post_response"\n# ///\nreflect("So?")\n',
        topic_md='+++\nkind = "ai"\n+++\nTopic?',
    )
    world.model.will_say("wood", "noted", "noted again")
    async with world.kernel("unused") as kernel:
        resolver = kernel.services.get("module_service").resolver()
        template, trigger = "Of @topic. @note", {"message": "Q"}
        half: dict[str, Any] = {"conversation_id": "s", "trigger_context": trigger}
        await resolver.resolve_template_stages_1_and_2(template, **half)
        await resolver.execute_post_response_stages(template, "A", **half)
        await resolver.execute_post_response_stages(template, "A", **half)
    told = [[m.text for m in r.messages] for r in world.model.requests[1:]]
    assert told == [["Of wood. ", "Q", "A", "So?"], ["Of @topic. @note", "Q", "A", "So?"]]
