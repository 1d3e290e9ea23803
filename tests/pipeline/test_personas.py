"""Who answers: personas of the config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dovetail import (
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ConfigError,
    ExecutionContext,
    InvalidRequest,
    Kernel,
    Stage,
    SystemPromptState,
)
from tests.support.kernels import kernel_of, plugin_of

if TYPE_CHECKING:
    from pathlib import Path

asked: list[ChatRequest] = []


class Asked(ChatProvider):
    async def send_message(self, request: ChatRequest, context: ExecutionContext) -> ChatResponse:
        asked.append(request)
        return ChatResponse(message=ChatMessage.assistant(self.instance))


class Other(Asked):
    pass


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    asked.clear()


SAGE: dict[str, Any] = {"template": "Be wise.", "temperature": 0.1, "max_tokens": 9}


async def test_a_request_chooses_its_persona() -> None:
    async with kernel_of(Asked, personas={"sage": SAGE, "fool": {"template": "Jest."}}) as kernel:
        await kernel.chat("hi", persona="fool")
        await kernel.chat(ChatRequest(messages=(ChatMessage.user("hi"),), persona_id="sage"))
        await kernel.chat("hi")
    texts = [[m.text for m in request.messages] for request in asked]
    assert texts == [["Jest.", "hi"], ["Be wise.", "hi"], ["hi"]]
    assert (asked[1].temperature, asked[1].max_tokens) == (0.1, 9)


async def test_what_a_request_says_itself_wins() -> None:
    async with kernel_of(Asked, Other, personas={"sage": {**SAGE, "model": "other/m"}}) as kernel:
        assert (await kernel.chat("hi", persona="sage")).provider == "other"
        request = ChatRequest(messages=(ChatMessage.user("hi"),), temperature=1.0, max_tokens=5)
        reply = await kernel.chat(request, persona="sage", model="asked/x")
    assert reply.provider == "asked"
    assert (asked[1].model, asked[1].temperature, asked[1].max_tokens) == ("x", 1.0, 5)


async def test_a_host_s_own_system_message_comes_after_it() -> None:
    messages = (ChatMessage.system("Be brief."), ChatMessage.user("hi"))
    async with kernel_of(Asked, personas={"sage": SAGE}) as kernel:
        for session in (None, "s", "s"):
            await kernel.chat(ChatRequest(messages=messages), persona="sage", session=session)
    texts = [[m.text for m in request.messages] for request in asked]
    assert texts[0] == texts[1] == ["Be wise.", "Be brief.", "hi"]
    assert texts[2] == ["Be wise.", "Be brief.", "hi", "asked", "hi"]


async def test_an_unknown_persona_is_refused_with_the_nearest() -> None:
    async with kernel_of(Asked, personas={"sage": SAGE}) as kernel:
        with pytest.raises(InvalidRequest, match=r"no persona `sge` \(personas: `sage`\); did you"):
            await kernel.chat("hi", persona="sge")


def in_folder(folder: Path, text: str) -> Kernel:
    (folder / "dovetail.toml").write_text(text, encoding="utf-8")
    kernel = Kernel.open(folder / "dovetail.toml", env={}, discover_installed=False)
    return kernel.register("asked", plugin_of(Asked))


BASE = '[chat]\nmodel = "asked/m"\npersona = "sage"\n[providers.asked]\n'


async def test_a_template_may_stand_in_a_file_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "sage.md").write_text("Be wise.\n", encoding="utf-8")
    async with in_folder(tmp_path, f'{BASE}[personas.sage]\nfile = "sage.md"\n') as kernel:
        await kernel.chat("hi")
        assert asked[0].messages[0].text == "Be wise.\n"
        (tmp_path / "sage.md").write_text("Be wiser.\n", encoding="utf-8")
        await kernel.reload()
        await kernel.chat("hi")
        assert asked[1].messages[0].text == "Be wiser.\n"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('file = "gone.md"', r"\[personas.sage\] file.*gone.md` cannot be read: No such file"),
        ('file = "bytes.md"', "it is not UTF-8"),
        ('file = "long.md"', "is longer than 1,000,000 bytes"),
        ('template = "a"\nfile = "b.md"', "has both `template` and `file`"),
        ('tempalte = "a"', "tempalte"),
        ("temperature = -1", r"\[personas.sage\] temperature"),
    ],
)
async def test_a_mistake_is_told_with_its_place(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "bytes.md").write_bytes(b"caf\xe9")
    (tmp_path / "long.md").write_text("x" * 1_000_001)
    with pytest.raises(ConfigError, match=words):
        await in_folder(tmp_path, f"{BASE}[personas.sage]\n{table}\n").start()


async def test_a_default_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[chat\] persona: there is no persona") as caught:
        await in_folder(tmp_path, f'{BASE}[personas.sgae]\ntemplate = "x"\n').start()
    assert "did you mean `sgae`?" in str(caught.value)


def test_the_prompt_of_a_stage_is_the_latest_until_then() -> None:
    state = SystemPromptState()
    assert state.get_prompt_for_stage(1) == ""
    state.set_stage_prompt(1, "resolved")
    state.set_stage_prompt(Stage.POST_RESPONSE, "later")
    assert [state.get_prompt_for_stage(n) for n in range(1, 6)] == [
        "resolved",
        "resolved",
        "resolved",
        "later",
        "later",
    ]
    assert list(state.get_all_stages().items()) == [(1, "resolved"), (4, "later")]
    for wrong in (0, 6):
        with pytest.raises(ValueError, match=str(wrong)):
            state.set_stage_prompt(wrong, "x")
