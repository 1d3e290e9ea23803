"""What servers stream, in dovetail's words: their habits, wherever the bytes are cut."""

from __future__ import annotations

import pytest

from dovetail import (
    FinishReason,
    InvalidResponse,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from dovetail_openai.response_parser import StreamParser
from plugins.openai.tests.streams import DONE, STOP, delta, event, read, whole

ORDINARY = b"".join(
    [
        b"\xef\xbb\xbf: hello\r\n\r\n",
        delta({"role": "assistant", "content": ""}),
        delta({"content": "Größe "}),
        b": keep-alive\n\n",
        delta({"content": "👋\u2028 ok"}),
        b"event: message\r\n\r\n",
        delta({"content": " end"}),
        b'data: {"choices": [],\r\n',
        b'data: "usage": {"prompt_tokens": 0, "completion_tokens": 3}}\r\n\r\n',
        STOP,
        DONE,
    ]
)


def test_an_answer_is_the_same_wherever_its_bytes_are_cut() -> None:
    once = read(ORDINARY)
    assert "".join(chunk.text for chunk in once) == "Größe 👋\u2028 ok end"
    for cut in range(1, len(ORDINARY)):
        assert read(ORDINARY[:cut], ORDINARY[cut:]) == once
    assert read(*(ORDINARY[i : i + 1] for i in range(len(ORDINARY)))) == once


def test_no_chunk_is_made_of_what_says_nothing() -> None:
    chunks = read(ORDINARY)
    assert [chunk.text for chunk in chunks] == ["Größe ", "👋\u2028 ok", " end", "", ""]
    assert (chunks[0].model, chunks[0].extras) == ("m", {"id": "c-1", "created": 1})
    assert chunks[-1].finish_reason is FinishReason.STOP


def test_zero_tokens_are_a_count() -> None:
    usage = whole(ORDINARY).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (0, 3, None)


@pytest.mark.parametrize(
    "counted",
    [
        delta({"content": "a"}, usage={"prompt_tokens": 5}) + STOP,
        delta({"content": "a"}) + delta({}, "stop", usage={"prompt_tokens": 5}),
        delta({"content": "a"}) + STOP + event({"choices": [], "usage": {"prompt_tokens": 5}}),
        delta({"content": "a"}) + STOP + event({"usage": {"prompt_tokens": 5}}),
        delta({"content": "a"}) + delta({}, "stop", x_groq={"usage": {"prompt_tokens": 5}}),
    ],
)
def test_usage_is_taken_from_any_chunk(counted: bytes) -> None:
    usage = whole(counted, DONE).usage
    assert usage is not None
    assert usage.prompt_tokens == 5


def test_details_of_usage_have_their_places_and_the_rest_is_kept() -> None:
    usage = whole(
        delta({"content": "a"}),
        delta(
            {},
            "stop",
            usage={
                "prompt_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 0},
                "cost": 0.25,
            },
        ),
    ).usage
    assert usage is not None
    assert (usage.cached_tokens, usage.reasoning_tokens) == (4, 0)
    assert usage.extras == {
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
        "cost": 0.25,
    }


def test_done_may_be_missing() -> None:
    assert whole(delta({"content": "a"}), STOP).text == "a"


def test_what_comes_after_done_is_not_read() -> None:
    assert whole(delta({"content": "a"}), STOP, DONE, delta({"content": "b"})).text == "a"


@pytest.mark.parametrize("end", [b"", DONE])
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b": only a comment\n\n",
        event({"choices": []}),
        delta({"role": "assistant", "content": ""}),
        delta({"content": "a"}),
        delta({"content": "a"}) + STOP.rstrip(b"\n"),
        delta({"content": "a"}, "stop", index=0) + delta({"content": "b"}, index=1),
    ],
)
def test_an_end_without_a_finish_reason_is_an_interruption(said: bytes, end: bytes) -> None:
    if said.endswith(b"}") and end:
        end = b"\r" + end  # the last event stays without its end
    with pytest.raises((StreamInterrupted, InvalidResponse)):
        read(said, end)


@pytest.mark.parametrize(
    "error",
    [
        event({"error": {"message": "overloaded", "code": 503}}),
        event({"error": "overloaded"}),
        delta({"content": "b"}, "stop", error={"message": "overloaded"}),
        event(
            {
                "choices": [
                    {"delta": {}, "finish_reason": "error", "error": {"message": "overloaded"}}
                ]
            }
        ),
        b'event: error\ndata: {"message": "overloaded"}\n\n',
    ],
)
@pytest.mark.parametrize("before", [b"", delta({"content": "a"})])
def test_an_error_inside_a_stream_is_an_error_after_what_came_before(
    error: bytes, before: bytes
) -> None:
    parser = StreamParser()
    feed = parser.feed(before + error + STOP)
    if before:
        assert next(feed).text == "a"
    with pytest.raises(ProviderUnavailable, match="overloaded"):
        next(feed)


def test_an_error_in_mid_stream_has_the_class_of_its_code() -> None:
    with pytest.raises(RateLimited):
        read(delta({"content": "a"}), event({"error": {"message": "slow down", "code": 429}}))


def test_an_answer_that_ends_in_an_error_without_a_name_is_no_answer() -> None:
    with pytest.raises(StreamInterrupted):
        read(delta({"content": "a"}, "error"))


def test_an_error_that_is_null_is_none() -> None:
    assert whole(delta({"content": "a"}, "stop", error=None)).text == "a"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_comes_under_several_names(name: str) -> None:
    response = whole(
        delta({"role": "assistant", "content": None, name: "Let me "}),
        delta({"content": None, name: "see."}),
        delta({"content": "Yes.", name: None}),
        STOP,
    )
    assert (response.message.reasoning, response.text) == ("Let me see.", "Yes.")


def test_reasoning_under_two_names_is_said_once() -> None:
    pieces = [delta({"reasoning": t, "reasoning_content": t}) for t in ("a", "b")]
    assert whole(*pieces, STOP).message.reasoning == "ab"


def test_reasoning_details_are_read_and_kept() -> None:
    first = {"type": "reasoning.text", "text": "Hm", "signature": "s"}
    second = {"type": "reasoning.encrypted", "data": "x"}
    response = whole(
        delta({"reasoning_details": [first]}), delta({"reasoning_details": [second]}), STOP
    )
    assert response.message.reasoning == "Hm"
    assert response.extras["reasoning_details"] == [first, second]


def test_content_may_be_a_list_of_parts() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    response = whole(
        delta({"content": [thinking]}),
        delta({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
        STOP,
    )
    assert (response.message.reasoning, response.text) == ("Hm.", "ab")


def test_a_refusal_is_a_delta_of_its_own() -> None:
    response = whole(delta({"refusal": "I "}), delta({"refusal": "may not."}), STOP)
    assert (response.message.refusal, response.text) == ("I may not.", "")


@pytest.mark.parametrize("reason", ["length", "tool_calls", "content_filter", "eos", "max_output"])
def test_finish_reasons_pass_through(reason: str) -> None:
    response = whole(delta({"content": "a"}), delta({}, reason))
    assert response.finish_reason == reason
    assert isinstance(response.finish_reason, FinishReason) == (reason in set(FinishReason))


def test_several_answers_interleave() -> None:
    pieces = [
        delta({"role": "assistant", "content": ""}, index=1),
        delta({"content": "b1"}, index=1),
        delta({"content": "a1"}),
        delta({"content": "b2"}, index=1),
        delta({}, "stop"),
        delta({"content": "b3"}, "length", index=1),
        event({"choices": [], "usage": {"completion_tokens": 5}}),
    ]
    response = whole(*pieces)
    assert (response.text, response.finish_reason) == ("a1", FinishReason.STOP)
    (other,) = response.alternatives
    assert (other.index, other.text, other.finish_reason) == (1, "b1b2b3", FinishReason.LENGTH)
    assert response.usage is not None
    assert response.extras == {"id": "c-1", "created": 1}


def test_several_answers_are_complete_when_each_has_ended() -> None:
    parser = StreamParser(2)
    seen = []
    for piece in (delta({"content": "a"}), STOP, delta({"content": "b"}, "stop", index=1)):
        list(parser.feed(piece))
        seen.append(parser.complete)
    assert seen == [False, False, True]
