"""What a server or the network may do to an answer, and what a host is to be told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dovetail import (
    AuthenticationError,
    ContentFiltered,
    ContextTooLong,
    InvalidRequest,
    InvalidResponse,
    ModelNotFound,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from dovetail.testing import (
    ScriptedReply,
    close_before_headers,
    comments_only,
    cut_between,
    cut_in_line,
    dies_when_reused,
    drip,
    endless_line,
    error_inside,
    event_stream,
    garbage,
    gzipped,
    html_page,
    json_reply,
    length_mismatch,
    openai_error,
    openai_json,
    openai_sse,
    reset_at_accept,
    reset_before_headers,
    retry_later,
    split_bytes,
    stall_after,
    stall_before_body,
    stall_before_headers,
    with_type,
)

if TYPE_CHECKING:
    from dovetail import ProviderError

KEY = "not-a-wellknown-form-of-key"
CRASHED = f"crashed, asked with {KEY}"
FILLED = "x" * 490 + KEY
"""What an error repeats of a server's words ends within the key."""
GARBLED = b'data: {"choices": [' + b"x" * 50 + KEY.encode() + b"\n\n"
"""The same of an event."""
QUICK = {"first_byte": 0.5}
STILL = {"between": 0.5}
GOOD = openai_sse("Hello there friend", usage={"prompt_tokens": 5})
ENDLESS = openai_sse("Hello there", finish=None, done=False)
WHOLE = openai_json("Hello there friend")


def call(arguments: str) -> dict[str, Any]:
    """What a message or a delta says that calls a tool."""
    function = {"name": "weather", "arguments": arguments}
    return {"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": function}]}


def filtered(content: str | None = None) -> dict[str, Any]:
    """A chunk as Azure has it; without content no reader sees it."""
    said = {} if content is None else {"content": content}
    return {"choices": [{"index": 0, "delta": said, "content_filter_results": {"hate": {}}}]}


@dataclass(frozen=True)
class Fault:
    """What the server does, and what a host is told of it."""

    reply: ScriptedReply
    error: type[ProviderError]
    says: str
    may_retry: bool = False
    text: str = ""
    """What a reader of the stream has seen by then."""
    calls: bool = False
    """Whether he has seen a call of a tool."""
    http: dict[str, Any] = field(default_factory=dict)


NEVER_BEGAN = {
    "reset at accept": Fault(reset_at_accept(), ProviderUnavailable, "closed the", may_retry=True),
    "reset": Fault(reset_before_headers(), ProviderUnavailable, "closed the", may_retry=True),
    "close": Fault(close_before_headers(), ProviderUnavailable, "closed the", may_retry=True),
    "stall": Fault(
        stall_before_headers(), ProviderTimeout, "did not begin", may_retry=True, http=QUICK
    ),
    "html 502": Fault(html_page(502, KEY), ProviderUnavailable, r"502: 502 \*", may_retry=True),
    "html 404": Fault(html_page(404, KEY), InvalidRequest, "check `base_url`"),
    "html 200": Fault(html_page(200, KEY), InvalidResponse, r"page for people"),
    "html under another type": Fault(
        with_type(html_page(200, "x" * 35 + KEY), "application/json"), InvalidResponse, "not JSON"
    ),
    "garbage": Fault(garbage(), InvalidResponse, "not JSON"),
    "garbage 500": Fault(garbage(500), ProviderUnavailable, "500", may_retry=True),
    "503": Fault(openai_error(503, FILLED), ProviderUnavailable, "503: x", may_retry=True),
    "429": Fault(retry_later(429, 0.01, "milliseconds"), RateLimited, "come again", may_retry=True),
    "key": Fault(openai_error(401, f"Incorrect key: {KEY}"), AuthenticationError, "`api_key`"),
    "model": Fault(openai_error(404, "no such model: x"), ModelNotFound, "`dovetail models`"),
    "long": Fault(
        openai_error(400, "no", code="context_length_exceeded"), ContextTooLong, "shorten the"
    ),
    "filtered": Fault(openai_error(400, "no", code="content_filter"), ContentFiltered, "400: no"),
    "invalid": Fault(openai_error(400, f"Unknown parameter: {KEY}"), InvalidRequest, "Unknown"),
    "error inside 200": Fault(
        json_reply(200, {"error": {"message": CRASHED}}),
        ProviderUnavailable,
        "crashed",
        may_retry=True,
    ),
    "many words inside 200": Fault(
        json_reply(200, {"error": {"message": FILLED}}),
        ProviderUnavailable,
        "error",
        may_retry=True,
    ),
    "no object": Fault(json_reply(200, "x" * 70 + KEY), InvalidResponse, "no JSON object: 'xx"),
    "a call that breaks off": Fault(
        openai_json(None, finish="tool_calls", **call('{"city": "Par')),
        InvalidResponse,
        "call of `weather`",
    ),
    "too slow": Fault(
        drip(openai_json("Hello there friend"), size=1, every=0.05),
        ProviderTimeout,
        "not complete within 0.2 s",
        http={"total": 0.2},
    ),
}

STREAMED = {
    "stall before the body": Fault(
        stall_before_body(GOOD), ProviderTimeout, "did not begin", may_retry=True, http=QUICK
    ),
    "stall between chunks": Fault(
        stall_after(GOOD, 1),
        ProviderTimeout,
        "stood still",
        may_retry=True,
        text="Hello ",
        http=STILL,
    ),
    "stall after what no reader sees": Fault(
        stall_after(openai_sse(filtered(), {"role": "assistant"}, "Hello"), 1),
        ProviderTimeout,
        "stood still",
        may_retry=True,
        http=STILL,
    ),
    "cut after what no reader sees": Fault(
        cut_between(openai_sse(filtered(), filtered(), "Hello"), 2),
        StreamInterrupted,
        "in the middle",
        may_retry=True,
    ),
    "comments only": Fault(
        comments_only(GOOD), ProviderTimeout, "stood still", may_retry=True, http=STILL
    ),
    "comments after a chunk": Fault(
        comments_only(GOOD, 1),
        ProviderTimeout,
        "stood still",
        may_retry=True,
        text="Hello ",
        http=STILL,
    ),
    "cut in the first line": Fault(
        cut_in_line(GOOD, 0), StreamInterrupted, "before an answer began", may_retry=True
    ),
    "cut in a line": Fault(
        cut_in_line(GOOD, 1), StreamInterrupted, "in the middle", may_retry=True, text="Hello "
    ),
    "cut in a line, unclean": Fault(
        cut_in_line(GOOD, 1, clean=False), StreamInterrupted, "broke", True, text="Hello "
    ),
    "cut between events": Fault(
        cut_between(GOOD, 2), StreamInterrupted, "in the middle", True, text="Hello there "
    ),
    "cut between events, unclean": Fault(
        cut_between(GOOD, 2, clean=False), StreamInterrupted, "broke", True, text="Hello there "
    ),
    "shorter than promised": Fault(
        length_mismatch(ENDLESS), StreamInterrupted, "broke", True, text="Hello there"
    ),
    "longer than promised": Fault(
        length_mismatch(ENDLESS, -10), StreamInterrupted, "in the middle", True, text="Hello "
    ),
    "no finish reason": Fault(
        openai_sse("Hello", finish=None), StreamInterrupted, "in the middle", True, text="Hello"
    ),
    "nothing": Fault(event_stream(), StreamInterrupted, "before", may_retry=True),
    "only [DONE]": Fault(event_stream(GOOD.steps[-1]), StreamInterrupted, "before", may_retry=True),
    "error inside": Fault(
        error_inside(GOOD, 2, CRASHED), ProviderUnavailable, "crashed", True, text="Hello there "
    ),
    "error at once": Fault(
        error_inside(GOOD, 0, FILLED), ProviderUnavailable, "error", may_retry=True
    ),
    "a garbled event": Fault(
        event_stream(GOOD.steps[0], GARBLED), InvalidResponse, "not JSON", text="Hello "
    ),
    "an endless line": Fault(endless_line(), InvalidResponse, "a line of more than 64 MiB"),
    "a page under another type": Fault(
        with_type(html_page(200, KEY), "text/plain"), InvalidResponse, "not with a stream"
    ),
    "a stream under text/html": Fault(with_type(GOOD, "text/html"), InvalidResponse, "page"),
    "a streamed call that breaks off": Fault(
        openai_sse(call('{"city": "Par'), finish="tool_calls"),
        InvalidResponse,
        "call of `weather`",
        calls=True,
    ),
    "too slow a stream": Fault(
        drip(GOOD, size=1, every=0.05),
        ProviderTimeout,
        "not complete within 0.2 s",
        http={"total": 0.2},
    ),
}

WHOLES = {
    "stall before the body": Fault(
        stall_before_body(WHOLE), ProviderTimeout, "did not begin", may_retry=True, http=QUICK
    ),
    "cut": Fault(cut_in_line(WHOLE, 0), StreamInterrupted, "broke", may_retry=True),
    "cut, unclean": Fault(
        cut_in_line(WHOLE, 0, clean=False), StreamInterrupted, "broke", may_retry=True
    ),
    "shorter than promised": Fault(
        length_mismatch(WHOLE), StreamInterrupted, "broke", may_retry=True
    ),
    "longer than promised": Fault(length_mismatch(WHOLE, -10), InvalidResponse, "not (JSON|HTTP)"),
    "a stream": Fault(GOOD, InvalidResponse, "not JSON"),
    "no choices": Fault(json_reply(200, {"choices": []}), InvalidResponse, "no choices"),
    "an empty object": Fault(json_reply(200, {}), InvalidResponse, "no choices"),
    "no finish reason": Fault(
        json_reply(200, {"choices": [{"message": {"content": "a"}, "finish_reason": None}]}),
        InvalidResponse,
        "not complete",
    ),
    "an answer without end": Fault(endless_line(), InvalidResponse, "more than 256 MiB"),
}

HARMLESS = {
    "byte by byte": split_bytes(GOOD),
    "dripping": drip(GOOD, size=7, every=0.001),
    "gzip": gzipped(GOOD),
    "no [DONE]": openai_sse("Hello there friend", usage={"prompt_tokens": 5}, done=False),
    "another type": with_type(GOOD, "application/octet-stream"),
    "whole after all": WHOLE,
    "broken after its end": cut_between(GOOD, 5, clean=False),
    "shorter than promised, after its end": length_mismatch(GOOD),
    "filtered": openai_sse(
        filtered(), filtered("Hello there "), "friend", filtered(), usage={"prompt_tokens": 5}
    ),
    "dies when it is used again": dies_when_reused(GOOD),
}
"""What is odd, and yet a whole answer to a request for a stream."""
