"""What each kind of module does, by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from dovetail import (
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ExecutionContext,
    Kernel,
    Session,
)
from dovetail.testing import FakeModel, plugin_of
from dovetail_modules import (
    AIModuleExecutor,
    ModuleDefinition,
    ModuleError,
    ModuleFailed,
    ScriptModuleExecutor,
    SimpleModuleExecutor,
)
from dovetail_modules.resolution.streaming_handler import StreamingHandler
from dovetail_scripts import ScriptExecutionContext, ScriptExecutionResult, ScriptFailed

if TYPE_CHECKING:
    from plugins.modules.tests.world import World

ASKS = ModuleDefinition.model_validate(
    {"name": "asks", "kind": "ai", "content": "Of ${what}?", "max_tokens": 5}
)


def test_a_simple_module_is_its_content_with_values() -> None:
    module = ModuleDefinition(
        name="a", content="${who} at ${place.name}: ${mood.level} @other ${x}"
    )
    script = ScriptExecutionContext("a", inputs={"who": "Ada", "variables": {"mood": {"level": 3}}})
    text = SimpleModuleExecutor().execute(module, {"place": {"name": "home"}}, script)
    assert text == "Ada at home: 3 @other ${x}"
    assert SimpleModuleExecutor().execute(ModuleDefinition(name="b", content="@@x")) == "@x"


async def test_a_script_module_gives_its_variables(world: World) -> None:
    module = ModuleDefinition.model_validate(
        {
            "name": "sums",
            "kind": "script",
            "script": "n = get_state('n', 1) + trigger_context['by']\nset_state('n', n)\n"
            "who = [persona, session, given]\n",
        }
    )
    session = Session(session_id="s")
    async with world.kernel("x") as kernel:
        executor = ScriptModuleExecutor(lambda: kernel.services.get("script_engine"))
        script = ScriptExecutionContext("", ExecutionContext(), inputs={"given": "x"})
        for expected in (3, 5):
            result = await executor.execute(module, {"by": 2}, script, "s", "sage", session)
            assert isinstance(result, ScriptExecutionResult)
            assert result.variables == {"n": expected, "who": ["sage", "s", "x"]}
        bad = ModuleDefinition.model_validate({"name": "bad", "kind": "script", "script": "x = y"})
        with pytest.raises(ScriptFailed, match="bad, line 1"):
            await executor.execute(bad)
    assert session.state == {"modules": {"values": {"n": 5}}}


async def test_without_an_engine_it_says_what_to_write() -> None:
    module = ModuleDefinition.model_validate({"name": "a", "kind": "script", "script": "1"})
    with pytest.raises(ModuleError, match=r"\[plugins.scripts\]"):
        await ScriptModuleExecutor(lambda: None).execute(module)


async def test_an_ai_module_asks_its_content() -> None:
    model = FakeModel(" wood \n")
    executor = AIModuleExecutor(StreamingHandler(model=model))
    heard: list[str] = []

    async def hear(text: str) -> None:
        heard.append(text)

    assert await executor.execute(ASKS, {"what": "joints"}, heard=hear) == "wood"
    (asked,) = model.requests
    assert (asked.messages[0].text, asked.max_tokens) == ("Of joints?", 5)
    assert "".join(heard) == " wood \n"


async def test_calls_of_models_lie_only_so_deep_in_one_another() -> None:
    inner = StreamingHandler(model=FakeModel("x"), depth=2)
    deep: list[str] = []

    async def again(_: str) -> None:
        try:
            deep.append(await AIModuleExecutor(inner).execute(ASKS, heard=again))
        except ModuleFailed as error:
            deep.append(str(error))

    await AIModuleExecutor(StreamingHandler(model=FakeModel("x"), depth=2)).execute(
        ASKS, heard=again
    )
    assert deep[0] == "would lie more than 2 calls of models deep"


class Holds(ChatProvider):
    """Answers what modules ask by a turn of its own."""

    name = "holds"
    kernel: ClassVar[Kernel]

    async def send_message(self, request: ChatRequest, context: ExecutionContext) -> ChatResponse:
        text = request.messages[0].text
        if text == "?":
            text = f"<{(await self.kernel.chat('Hello')).text}>"
        return ChatResponse(message=ChatMessage.assistant(text))


async def test_turns_within_turns_come_to_an_end(world: World) -> None:
    world.write(asks_md='+++\nkind = "ai"\nmodel = "holds"\n+++\n?')
    tables = {"providers": {"holds": {}}, "chat": {"model": "holds"}}
    async with world.kernel("@asks", tables=tables, plugins={"holds": plugin_of(Holds)}) as kernel:
        Holds.kernel = kernel
        answer = await kernel.chat("Hello")
    gap = "[module asks: would lie more than 3 calls of models deep]"
    assert answer.text == f"<<<{gap}>>>"
