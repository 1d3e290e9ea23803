"""What is sent: bodies, addresses and headers, for each kind of server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from dovetail import (
    AudioPart,
    ChatMessage,
    ExecutionContext,
    FunctionTool,
    ImagePart,
    InvalidRequest,
    MessageRole,
    ResponseFormat,
    TextPart,
    ToolCall,
    ToolChoice,
)
from dovetail.testing import openai_embeddings, openai_json, openai_sse
from dovetail_openai import OpenAISettings
from dovetail_openai.request_builder import RequestBuilder
from dovetail_openai.servers import Server
from plugins.openai.tests.conftest import CHAT, ask, chunks_of

if TYPE_CHECKING:
    from dovetail.testing import Upstream
    from plugins.openai.tests.conftest import Open


def body(request: Any = None, *, stream: bool = False, **peculiar: Any) -> dict[str, Any]:
    """The body of a request, without what each has."""
    made = RequestBuilder(**peculiar).chat(request or ask(), "m", stream=stream)
    assert made.pop("model") == "m"
    assert made.pop("stream") is stream
    return made


def message(said: ChatMessage, **peculiar: Any) -> Any:
    """How one message is sent."""
    (made,) = body(ask(messages=(said,)), **peculiar)["messages"]
    return made


def test_a_plain_request_has_nothing_but_its_messages() -> None:
    assert body() == {"messages": [{"role": "user", "content": "Hello"}]}


def test_what_a_request_says_is_sent() -> None:
    request = ask(
        temperature=0, top_p=0.5, max_tokens=9, stop=("a", "b"), seed=7, reasoning_effort="low"
    )
    assert (
        body(request).items()
        >= {
            "temperature": 0,
            "top_p": 0.5,
            "max_tokens": 9,
            "stop": ("a", "b"),
            "seed": 7,
            "reasoning_effort": "low",
        }.items()
    )


def test_the_most_tokens_have_the_servers_name() -> None:
    made = body(ask(max_tokens=9), max_tokens_field="max_completion_tokens")
    assert made["max_completion_tokens"] == 9
    assert "max_tokens" not in made


def test_usage_is_asked_for_in_streams_only() -> None:
    assert body(stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body()
    assert "stream_options" not in body(stream=True, stream_usage=False)
    own = ask(extras={"stream_options": {"include_usage": False}})
    assert body(own, stream=True)["stream_options"] == {"include_usage": False}
    assert "stream_options" not in body(own)


def test_extras_win_over_the_requests_own_fields_and_those_over_the_settings() -> None:
    request = ask(temperature=0.5, extras={"top_k": 3, "n": 2, "stream": True, "model": "other"})
    made = body(request, body={"temperature": 1, "top_k": 9, "user": "u"})
    assert (made["temperature"], made["top_k"], made["n"], made["user"]) == (0.5, 3, 2, "u")


def test_tools_and_a_choice_among_them_are_sent() -> None:
    tools = (FunctionTool(name="f", description="d", strict=True), FunctionTool(name="g"))
    made = body(ask(tools=tools, tool_choice=ToolChoice(name="f")))
    nothing = {"type": "object", "properties": {}}
    assert [tool["function"] for tool in made["tools"]] == [
        {"name": "f", "description": "d", "parameters": nothing, "strict": True},
        {"name": "g", "parameters": nothing},
    ]
    assert made["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert body(ask(tools=tools, tool_choice="required"))["tool_choice"] == "required"


def test_the_form_of_the_answer_is_sent() -> None:
    schema = {"type": "object"}
    form = ResponseFormat(type="json_schema", json_schema=schema, name="n")
    assert body(ask(response_format=form))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": schema, "strict": True},
    }
    form = ResponseFormat(type="json_object")
    assert body(ask(response_format=form))["response_format"] == {"type": "json_object"}


def test_parts_are_sent_in_openais_form() -> None:
    parts = (
        TextPart(text="What is this?"),
        ImagePart(url="https://example.org/a.png", detail="low"),
        ImagePart(data="AA==", media_type="image/jpeg"),
        AudioPart(data="BB==", format="mp3"),
    )
    assert message(ChatMessage.user(parts))["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AA=="}},
        {"type": "input_audio", "input_audio": {"data": "BB==", "format": "mp3"}},
    ]


def test_a_call_and_its_result_are_sent_back_with_what_the_server_put_beside_it() -> None:
    call = ToolCall(id="1", name="f", arguments="{}", extras={"extra_content": {"s": 1}})
    assert message(ChatMessage(role=MessageRole.ASSISTANT, tool_calls=(call,))) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "1",
                "type": "function",
                "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"s": 1},
            }
        ],
    }
    result = ChatMessage(role=MessageRole.TOOL, content="20 °C", tool_call_id="1", name="f")
    assert message(result) == {
        "role": "tool",
        "content": "20 °C",
        "tool_call_id": "1",
        "name": "f",
    }


def test_reasoning_is_sent_back_only_where_the_settings_say_how() -> None:
    said = ChatMessage(role=MessageRole.ASSISTANT, content="a", reasoning="r")
    assert message(said) == {"role": "assistant", "content": "a"}
    assert message(said, reasoning_field="reasoning_content")["reasoning_content"] == "r"


def test_a_refusal_is_sent_back_as_one() -> None:
    said = ChatMessage(role=MessageRole.ASSISTANT, refusal="no")
    assert message(said) == {"role": "assistant", "content": None, "refusal": "no"}


def test_a_request_without_messages_is_not_sent() -> None:
    with pytest.raises(InvalidRequest, match="no messages"):
        body(ask(messages=()))


def server(**settings: object) -> Server:
    return Server.of(OpenAISettings.model_validate(settings))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1/", "max_completion_tokens"),
        ("https://x.openai.azure.com", "max_completion_tokens"),
        ("https://api.groq.com/openai/v1", "max_tokens"),
        ("http://127.0.0.1:1234/v1", "max_tokens"),
        ("https://api.openai.com.example.org/v1", "max_tokens"),
    ],
)
def test_the_name_of_the_most_tokens_is_known_by_the_host(url: str, name: str) -> None:
    assert server(base_url=url).max_tokens_field == name
    other = "max_tokens" if name == "max_completion_tokens" else "max_completion_tokens"
    assert server(base_url=url, max_tokens_field=other).max_tokens_field == other


def test_usage_in_streams_is_not_asked_for_where_it_is_refused() -> None:
    assert server().stream_usage
    assert not server(base_url="https://api.mistral.ai/v1").stream_usage
    assert server(base_url="https://api.mistral.ai/v1", stream_usage="on").stream_usage
    assert not server(stream_usage="off").stream_usage


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (
            "https://x.openai.azure.com",
            "/openai/deployments/gpt%2F4/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://x.cognitiveservices.azure.com/openai/",
            "/deployments/gpt%2F4/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://x.openai.azure.com/openai/deployments/gpt",
            "/chat/completions?api-version=2024-10-21",
        ),
        ("https://x.openai.azure.com/openai/v1", "/chat/completions"),
    ],
)
def test_azure_has_addresses_and_a_key_header_of_its_own(url: str, path: str) -> None:
    azure = server(base_url=url, api_key="secret")
    assert azure.address("chat/completions", "gpt/4") == path
    assert azure.headers == {"api-key": "secret"}
    assert azure.lists_models == url.endswith("/v1")


def test_azure_behind_another_name_is_known_by_the_settings() -> None:
    assert server(base_url="https://proxy.example.org", api="azure").azure
    assert not server(base_url="https://x.openai.azure.com/v1", api="openai").azure


@pytest.mark.parametrize(
    "url",
    ["api.openai.com", "ftp://a", "https://", "https://a/v1?key=x", "https://u:p@a/v1"],
)
def test_an_address_that_is_none_or_holds_a_key_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        OpenAISettings.model_validate({"base_url": url})
    assert "u:p" not in str(caught.value)


async def test_every_header_and_field_goes_over_the_wire(upstream: Upstream, opened: Open) -> None:
    provider = await opened(
        api_key="secret-key",
        organisation="org",
        project="proj",
        headers={"X-Title": "dovetail"},
        body={"top_k": 5},
    )
    upstream.reply(CHAT, openai_sse("Hello"), openai_json("Hello"))
    await chunks_of(provider)
    await provider.send_message(ask(), ExecutionContext())
    for request, stream in zip(upstream.requests, (True, False), strict=True):
        assert request.path == "/v1/chat/completions"
        assert (
            request.headers.items()
            >= {
                "authorization": "Bearer secret-key",
                "openai-organization": "org",
                "openai-project": "proj",
                "x-title": "dovetail",
                "content-type": "application/json",
            }.items()
        )
        assert request.json["top_k"] == 5
        assert request.json["model"] == "scripted"
        assert request.json["stream"] is stream


async def test_azures_version_goes_into_the_query(upstream: Upstream, opened: Open) -> None:
    provider = await opened(base_url=upstream.url, api="azure", api_version="v", api_key="secret")
    upstream.reply(CHAT, openai_json())
    upstream.reply("/embeddings", openai_embeddings())
    await provider.send_message(ask(), ExecutionContext())
    (request,) = upstream.requests
    assert request.path == "/openai/deployments/scripted/chat/completions"
    assert request.query == "api-version=v"
    assert request.headers["api-key"] == "secret"
    assert "authorization" not in request.headers
