"""What an answer has beside its words: sources, probabilities, and what nobody knows."""

from __future__ import annotations

from typing import Any

import pytest

from dovetail import ChatResponse, InvalidResponse, StreamingChunk, parse_json
from dovetail_openai.response_parser import StreamParser, response_of
from plugins.openai.tests.streams import STOP, delta, event, read, whole


def test_annotations_and_log_probabilities_have_their_places() -> None:
    cited = {
        "type": "url_citation",
        "url_citation": {
            "url": "https://example.org",
            "title": "E",
            "start_index": 0,
            "end_index": 4,
            "content": "c",
        },
    }
    token = {
        "token": "a",
        "logprob": -0.5,
        "bytes": [97],
        "top_logprobs": [{"token": "b", "logprob": -1, "bytes": None}],
    }
    choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}
    rest = {"index": 0, "delta": {"annotations": [cited]}, "finish_reason": "stop"}
    response = whole(
        event({"choices": [{**choice, "logprobs": {"content": [token], "refusal": None}}]}),
        event({"choices": [{**choice, "logprobs": {"content": [token]}}]}),
        event({"choices": [{**rest, "logprobs": None}]}),
    )
    (annotation,) = response.message.annotations
    assert (annotation.url, annotation.start, annotation.end) == ("https://example.org", 0, 4)
    assert annotation.extras == {"content": "c"}
    assert response.logprobs is not None
    assert [t.token for t in response.logprobs.content] == ["a", "a"]
    assert response.logprobs.content[0].top[0].logprob == -1
    assert ChatResponse.model_validate_json(response.model_dump_json()) == response


def test_log_probabilities_in_another_shape_are_kept() -> None:
    old = {"tokens": ["a"], "token_logprobs": [-0.5]}
    choices = [{"delta": {"content": "a"}, "finish_reason": "stop", "logprobs": old}]
    response = whole(event({"choices": choices}))
    assert response.logprobs is None
    assert response.extras == {"logprobs": [old]}
    choices[0]["logprobs"] = {"content": None, "refusal": None}
    assert whole(event({"choices": choices})).extras == {}


def test_a_probability_of_nothing_survives_json() -> None:
    told = b'{"content": [{"token": "a", "logprob": -Infinity}]}'
    choice = b'{"delta": {}, "finish_reason": "stop", "logprobs": %b}' % told
    response = whole(b'data: {"choices": [%b]}\n\n' % choice)
    assert response.logprobs is not None
    assert response.logprobs.content[0].logprob == -9999
    assert ChatResponse.model_validate_json(response.model_dump_json()) == response


@pytest.mark.parametrize(
    "said",
    [
        '"usage": {"x": NaN}, "choices": []',
        '"choices": [{"delta": {"annotations": [{"type": "x", "y": NaN}]}}]',
        '"choices": [{"delta": {}, "logprobs": {"content": [{"token": "a", "x": NaN}]}}]',
        '"choices": [{"delta": {"tool_calls": [{"x": NaN, "function": {"name": "f"}}]}}]',
    ],
    ids=["usage", "a source", "probabilities", "a tool call"],
)
def test_a_number_that_json_does_not_have_makes_no_sense(said: str) -> None:
    """Streamed or not."""
    value = f"{{{said}}}"
    with pytest.raises(InvalidResponse, match="nan is nothing that JSON has"):
        whole(b"data: %b\n\n" % value.encode(), STOP)
    ended = value.replace('"delta"', '"finish_reason": "stop", "message"')
    choice = '[{"message": {"content": "a"}, "finish_reason": "stop"}]'
    with pytest.raises(InvalidResponse, match="nan is nothing that JSON has"):
        response_of(parse_json(ended.replace('"choices": []', f'"choices": {choice}').encode()))


def test_what_nobody_knows_is_kept() -> None:
    base: dict[str, Any] = {"provider": "P", "citations": ["a"], "empty": None}
    response = whole(
        delta({"content": "a"}, **base),
        delta({"audio": {"id": "x", "data": "AA=="}}, **base),
        delta({"audio": {"data": "BB=="}}, **base),
        event(
            {
                "choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": 7}],
                "citations": ["a", "b"],
            }
        ),
    )
    assert response.extras == {
        "id": "c-1",
        "created": 1,
        "provider": "P",
        "citations": ["a", "b"],
        "audio": [{"id": "x", "data": "AA=="}, {"data": "BB=="}],
        "stop_reason": 7,
    }


FILTERED = {"hate": {"filtered": False}}
TOKEN = {"token": "a", "logprob": -0.5}
UNSEEN = {
    "Azure's filter": event({"choices": [{"delta": {}, "content_filter_results": FILTERED}]}),
    "OpenRouter's reason": event(
        {"choices": [{"delta": {"role": "assistant"}, "native_finish_reason": "x"}]}
    ),
    "a field of a delta": delta({"role": "assistant", "content": "", "prefix": "x"}),
    "a source": delta({"annotations": [{"type": "url_citation", "url": "https://example.org"}]}),
    "no probabilities": event({"choices": [{"delta": {}, "logprobs": {"content": []}}]}),
    "usage": delta({"role": "assistant"}, usage={"prompt_tokens": 5}),
    "usage alone": event({"choices": [], "usage": {"prompt_tokens": 5}}),
    "usage beside a filter": event(
        {
            "choices": [{"delta": {}, "content_filter_results": FILTERED}],
            "usage": {"prompt_tokens": 5},
        }
    ),
}
SEEN = {
    "text": delta({"content": "a"}),
    "reasoning": delta({"reasoning": "a"}),
    "a refusal": delta({"refusal": "a"}),
    "a tool call": delta({"tool_calls": [{"index": 0, "function": {"name": "f"}}]}),
    "sound": delta({"audio": {"id": "x", "data": "AA=="}}),
    "the end": delta({}, "stop"),
}


@pytest.mark.parametrize("unseen", UNSEEN.values(), ids=UNSEEN.keys())
@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN.keys())
def test_what_no_reader_sees_waits_for_what_he_does(unseen: bytes, seen: bytes) -> None:
    parser = StreamParser()
    assert list(parser.feed(unseen)) == []
    assert list(parser.feed(unseen)) == []
    (chunk,) = parser.feed(seen)
    alone = StreamParser()
    assert list(alone.feed(seen)) != [chunk]
    (plain,) = alone.feed(delta({"content": "b"}))
    assert list(parser.feed(delta({"content": "b"}))) == [plain]


@pytest.mark.parametrize("unseen", UNSEEN.values(), ids=UNSEEN.keys())
def test_not_much_more_than_64_kib_wait(unseen: bytes) -> None:
    """A reader who never hears of a stream that goes on for ever can only wait for ever."""
    parser, fed = StreamParser(), 0
    chunks: list[StreamingChunk] = []
    while not chunks:
        chunks = list(parser.feed(unseen))
        fed += len(unseen)
        assert fed < 2 * 65_536
    assert fed > 65_536
    assert [chunk.text for chunk in parser.feed(delta({"content": "a"}))] == ["a"]


def test_what_waited_is_all_there() -> None:
    pieces = [
        event(
            {
                "choices": [{"delta": {"x": 1}, "y": 1, "logprobs": {"content": [TOKEN]}}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 0},
            }
        ),
        delta({"x": 2, "annotations": [{"url": "https://example.org"}]}, y=2),
        event({"choices": [{"delta": {"x": [3]}, "y": 3}], "usage": {"completion_tokens": 1}}),
        event({"choices": [{"delta": {"content": "a"}, "logprobs": {"content": [TOKEN]}}]}),
        delta({"content": "b", "annotations": [{"url": "https://example.com"}]}),
    ]
    first, second, last = read(*pieces, STOP)
    assert (first.text, second.text, last.finish_reason) == ("a", "b", "stop")
    assert first.extras == {"x": (1, 2, 3), "y": 3, "id": "c-1", "created": 1}
    assert first.logprobs is not None
    assert [token.token for token in first.logprobs.content] == ["a", "a"]
    response = whole(*pieces, STOP)
    assert response.usage is not None
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (5, 1)
    assert [note.url for note in response.message.annotations] == [
        "https://example.org",
        "https://example.com",
    ]


def test_each_of_several_answers_keeps_what_is_said_of_it() -> None:
    parser = StreamParser(2)
    for index in (0, 1):
        assert list(parser.feed(delta({"x": index}, index=index))) == []
    chunks = list(parser.feed(delta({"content": "b"}, index=1)))
    assert [(chunk.index, chunk.text) for chunk in chunks if chunk.extras] == [
        (0, ""),
        (1, "b"),
        (0, ""),
    ]


def test_what_comes_after_the_first_words_is_handed_on_at_once() -> None:
    parser = StreamParser()
    list(parser.feed(delta({"content": "a"})))
    (chunk,) = parser.feed(delta({"x": 1}))
    assert chunk.extras == {"x": (1,)}
    list(parser.feed(STOP))
    (last,) = parser.feed(event({"choices": [{"delta": {}, "content_filter_results": FILTERED}]}))
    assert last == StreamingChunk(extras={"content_filter_results": FILTERED})
