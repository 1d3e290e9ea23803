"""What is asked of Ollama for a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dovetail import (
    AudioPart,
    ChatMessage,
    ChatRequest,
    EmbeddingRequest,
    FunctionTool,
    ImagePart,
    InvalidRequest,
    MessageRole,
    ResponseFormat,
    TextPart,
    ToolCall,
    ToolChoice,
)
from dovetail_ollama import OllamaSettings
from dovetail_ollama.request_builder import build_chat, build_embed

if TYPE_CHECKING:
    from plugins.ollama.tests.conftest import Ask


def body_of(request: ChatRequest, **settings: object) -> dict[str, Any]:
    return build_chat(request, "llama3.2", OllamaSettings.model_validate(settings), 4096)


def test_a_plain_request_is_streamed_and_names_its_window(ask: Ask) -> None:
    assert body_of(ask("Hello")) == {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "options": {"num_ctx": 4096},
    }


def test_common_fields_become_options(ask: Ask) -> None:
    request = ask(temperature=0.5, top_p=0.9, seed=42, max_tokens=100, stop=("\n", "user:"))
    assert body_of(request)["options"] == {
        "num_ctx": 4096,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 42,
        "num_predict": 100,
        "stop": ["\n", "user:"],
    }


def test_extras_are_merged_and_ollamas_parameters_go_where_it_looks_for_them(ask: Ask) -> None:
    extras = {"top_k": 20, "options": {"min_p": 0.1}, "logprobs": True, "keep_alive": "1m"}
    body = body_of(ask(extras=extras), options={"top_k": 5, "num_gpu": 1}, keep_alive="1h")
    assert body["options"] == {"num_ctx": 4096, "num_gpu": 1, "top_k": 20, "min_p": 0.1}
    assert body["logprobs"] is True
    assert body["keep_alive"] == "1m"


def test_extras_can_ask_for_another_window_but_not_for_another_model(ask: Ask) -> None:
    body = body_of(ask(extras={"num_ctx": 512, "model": "other", "stream": False}))
    assert body["options"]["num_ctx"] == 512
    assert (body["model"], body["stream"]) == ("llama3.2", True)


def test_options_in_extras_that_are_no_table_are_refused(ask: Ask) -> None:
    with pytest.raises(InvalidRequest, match=r"`options` .* should be a table"):
        body_of(ask(extras={"options": [1]}))


@pytest.mark.parametrize(
    ("written", "sent"), [(300, 300), ("30m", 1800), ("2d", 172_800), (0, 0), ("-1", -1), (-2, -2)]
)
def test_keep_alive_is_sent_in_seconds(ask: Ask, written: object, sent: float) -> None:
    assert body_of(ask(), keep_alive=written)["keep_alive"] == sent
    request = EmbeddingRequest(input=("a",))
    settings = OllamaSettings.model_validate({"keep_alive": written})
    assert build_embed(request, "m", settings, 512)["keep_alive"] == sent


@pytest.mark.parametrize(
    ("effort", "setting", "sent"),
    [
        ("high", None, "high"),
        ("minimal", None, "low"),
        ("none", True, False),
        ("on", None, True),
        ("something new", None, "something new"),
        (None, True, True),
        (None, False, False),
        (None, "low", "low"),
    ],
)
def test_reasoning_effort_is_how_much_to_think(
    ask: Ask, effort: str | None, setting: object, sent: object
) -> None:
    assert body_of(ask(reasoning_effort=effort), think=setting)["think"] == sent


def test_a_prompt_that_is_not_to_be_cut_says_so(ask: Ask) -> None:
    body = body_of(ask(), truncate=False)
    assert (body["truncate"], body["shift"]) == (False, False)
    assert "truncate" not in body_of(ask())
    embed = build_embed(
        EmbeddingRequest(input=("a",)), "m", OllamaSettings(truncate=False), num_ctx=512
    )
    assert embed["truncate"] is False
    assert "shift" not in embed


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        (ResponseFormat(type="json_schema", json_schema=SCHEMA), SCHEMA),
        (ResponseFormat(type="json_object"), "json"),
        (ResponseFormat(), None),
    ],
)
def test_the_form_of_the_answer(ask: Ask, form: ResponseFormat, sent: object) -> None:
    assert body_of(ask(response_format=form)).get("format") == sent


def test_tools_are_offered(ask: Ask) -> None:
    tool = FunctionTool(name="add", description="Adds.", parameters=SCHEMA)
    (sent,) = body_of(ask(tools=(tool,), tool_choice="auto"))["tools"]
    assert sent == {
        "type": "function",
        "function": {"name": "add", "description": "Adds.", "parameters": SCHEMA},
    }
    assert "tools" not in body_of(ask(tools=(tool,), tool_choice="none"))


@pytest.mark.parametrize("choice", ["required", ToolChoice(name="add")])
def test_a_choice_of_tools_that_ollama_cannot_keep_is_refused(ask: Ask, choice: object) -> None:
    with pytest.raises(InvalidRequest, match="leave `tool_choice` out"):
        body_of(ask(tools=(FunctionTool(name="add"),), tool_choice=choice))


def test_a_conversation_with_tools_goes_back_with_arguments_as_objects() -> None:
    calls = (
        ToolCall(id="call_1", name="weather", arguments='{"city": "Oslo"}'),
        ToolCall(id="call_2", name="time", arguments="not JSON"),
        ToolCall(id="call_3", name="list", arguments="[1]"),
    )
    messages = (
        ChatMessage.system("Be brief."),
        ChatMessage.user("How is Oslo?"),
        ChatMessage(role=MessageRole.ASSISTANT, tool_calls=calls, reasoning="Hm."),
        ChatMessage(role=MessageRole.TOOL, content="Sunny", tool_call_id="call_1"),
        ChatMessage(role=MessageRole.TOOL, content="Bad", tool_call_id="call_2", name="clock"),
    )
    sent = body_of(ChatRequest(messages=messages))["messages"]
    assert sent[0] == {"role": "system", "content": "Be brief."}
    assert sent[2] == {
        "role": "assistant",
        "content": "",
        "thinking": "Hm.",
        "tool_calls": [
            {"id": "call_1", "function": {"name": "weather", "arguments": {"city": "Oslo"}}},
            {"id": "call_2", "function": {"name": "time", "arguments": {"arguments": "not JSON"}}},
            {"id": "call_3", "function": {"name": "list", "arguments": {"arguments": "[1]"}}},
        ],
    }
    assert sent[3] == {
        "role": "tool",
        "content": "Sunny",
        "tool_call_id": "call_1",
        "tool_name": "weather",
    }
    assert sent[4]["tool_name"] == "clock"


@pytest.mark.parametrize(
    "image",
    [
        ImagePart(data="aGVsbG8="),
        ImagePart(url="data:image/png;base64,aGVsbG8="),
        ImagePart(url="data:image/png;BASE64,aGVsbG8%3D"),
        ImagePart(url="data:text/plain,hello"),
        ImagePart(url="DATA:,hel%6Co"),
    ],
)
def test_images_are_sent_in_base64(image: ImagePart) -> None:
    message = ChatMessage.user((TextPart(text="What is "), image, TextPart(text="this?")))
    (sent,) = body_of(ChatRequest(messages=(message,)))["messages"]
    assert sent == {"role": "user", "content": "What is this?", "images": ["aGVsbG8="]}


@pytest.mark.parametrize(
    "url",
    ["https://user:secret@example.com/a.png?key=secret", "http://x?secret", "file:///secret", ""],
)
def test_an_image_by_its_address_is_refused_without_repeating_what_may_be_secret(url: str) -> None:
    message = ChatMessage.user((ImagePart(url=url or "secret"),))
    with pytest.raises(InvalidRequest, match=r"does not fetch images.* base64") as caught:
        body_of(ChatRequest(messages=(message,)))
    assert "secret" not in str(caught.value)


def test_an_image_that_holds_nothing_is_refused() -> None:
    message = ChatMessage.user((ImagePart(),))
    with pytest.raises(InvalidRequest, match="neither"):
        body_of(ChatRequest(messages=(message,)))


def test_a_data_url_without_data_is_refused() -> None:
    message = ChatMessage.user((ImagePart(url="data:image/png;base64"),))
    with pytest.raises(InvalidRequest, match="holds no data"):
        body_of(ChatRequest(messages=(message,)))


def test_sound_is_refused() -> None:
    message = ChatMessage.user((AudioPart(data="aGVsbG8="),))
    with pytest.raises(InvalidRequest, match="holds sound"):
        body_of(ChatRequest(messages=(message,)))


def test_no_messages_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="no messages"):
        body_of(ChatRequest(messages=()))


def test_an_embedding_request() -> None:
    request = EmbeddingRequest(input=("a", "b"), dimensions=64, extras={"num_batch": 8})
    assert build_embed(request, "all-minilm", OllamaSettings(), 512) == {
        "model": "all-minilm",
        "input": ["a", "b"],
        "dimensions": 64,
        "options": {"num_ctx": 512, "num_batch": 8},
    }
