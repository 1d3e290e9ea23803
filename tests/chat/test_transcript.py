"""Messages that repeat the stored history are not added twice.

Unit tests: through the kernel the same would take a conversation for each case.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dovetail import ChatMessage, TextPart
from dovetail.chat.transcript import new_messages


def talk(*texts: str) -> list[ChatMessage]:
    """User and assistant in turn."""
    return [
        ChatMessage.user(text) if place % 2 == 0 else ChatMessage.assistant(text)
        for place, text in enumerate(texts)
    ]


words = st.text("ab", max_size=2)
turns = st.lists(st.tuples(words, words), max_size=6).map(
    lambda pairs: talk(*(text for pair in pairs for text in pair))
)


@given(turns, words)
def test_a_conversation_sent_whole_adds_only_its_question(
    history: list[ChatMessage], question: str
) -> None:
    asked = ChatMessage.user(question)
    assert new_messages(history, [*history, asked]) == (asked,)


@given(turns, words, st.integers(1, 12))
def test_a_tail_of_the_history_is_enough_to_know_it(
    history: list[ChatMessage], question: str, tail: int
) -> None:
    asked = ChatMessage.user(question)
    assert new_messages(history[-tail:], [*history, asked]) == (asked,)


@given(turns, words)
def test_a_question_alone_is_always_new(history: list[ChatMessage], question: str) -> None:
    asked = ChatMessage.user(question)
    assert new_messages(history, [asked]) == (asked,)


def test_another_conversation_is_new() -> None:
    history = talk("a", "b")
    other = talk("c", "d", "e")
    assert new_messages(history, other) == tuple(other)


def test_system_messages_and_lost_metadata_do_not_matter() -> None:
    answer = ChatMessage.assistant("b").model_copy(update={"reasoning": "hm", "metadata": {"x": 1}})
    history = [ChatMessage.user("a"), answer]
    sent = [ChatMessage.system("s"), *talk("a", "b", "c")]
    assert [m.text for m in new_messages(history, sent)] == ["c"]


def test_an_answer_wanted_anew_adds_only_its_question() -> None:
    history = talk("a", "b", "c", "d", "e", "f")
    assert [m.text for m in new_messages(history, talk("a", "b", "other"))] == ["other"]
    assert [m.text for m in new_messages(history[3:], talk("a", "b", "c", "d", "e!"))] == ["e!"]


def test_text_in_one_part_is_the_same_text() -> None:
    parts = ChatMessage.user((TextPart(text="a"),))
    sent = [parts, *talk("a", "b", "c")[1:]]
    assert [m.text for m in new_messages(talk("a", "b"), sent)] == ["c"]
