"""What session stores are given to keep: ordinary turns, and messages of every form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail.chat.messages import ChatMessage, ImagePart, MessageRole, TextPart, ToolCall

if TYPE_CHECKING:
    from dovetail.sessions.session import Session

STATE: dict[str, Any] = {
    "text": "Grüße 👋 \u2028 'quoted' \"twice\" \\ %s {}",
    "number": 12345678901234567,
    "fraction": 0.1,
    "none": None,
    "yes": True,
    "nested": {"list": [1, "two", [3.5, {"deep": []}]], "": "an empty key"},
}

HOSTILE_IDS = (
    "a b/c\\d",
    "../../etc/passwd",
    "'; DROP TABLE sessions; --",
    '"*?[a-z]%_$&{}|:',
    "Größe-会话-💬",
    "x" * 160,
)

FORMS: tuple[ChatMessage, ...] = (
    ChatMessage.user("plain"),
    ChatMessage.user(""),
    ChatMessage.user("Ünïcode 漢字 🧑‍🚀 \u2028 \x00 \t\r\n end"),
    ChatMessage.user("long " * 200_000),
    ChatMessage.user(
        (
            TextPart(text="What is this?"),
            ImagePart(url="https://example.org/a.png", detail="low"),
            ImagePart(data="iVBORw0KGgo=", media_type="image/png"),
        )
    ),
    ChatMessage(
        role=MessageRole.ASSISTANT,
        content="Let me look.",
        reasoning="They want\nthe weather.",
        tool_calls=(
            ToolCall(id="call_1", name="weather", arguments='{"city": "Köln"}'),
            ToolCall(id="call_2", name="time", arguments="not JSON {"),
        ),
        metadata={"finish_reason": "tool_calls", "scores": [0.5, None], "nested": {"a": 1}},
    ),
    ChatMessage(role=MessageRole.TOOL, content="22 °C", tool_call_id="call_1", name="weather"),
    ChatMessage(role=MessageRole.ASSISTANT, refusal="I may not say.", name="helper"),
)


def message(text: str) -> ChatMessage:
    """A user's message."""
    return ChatMessage.user(text)


def turn(number: int) -> list[ChatMessage]:
    """A question and its answer, both with the number at their end."""
    return [ChatMessage.user(f"question {number}"), ChatMessage.assistant(f"answer {number}")]


def texts(session: Session) -> list[str]:
    """What was said, in order."""
    return [said.text for said in session.history]
