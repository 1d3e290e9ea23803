"""What a server or the network may do to an answer, and what a host is to be told of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import to_json

from dovetail import (
    AuthenticationError,
    ContextTooLong,
    InvalidRequest,
    InvalidResponse,
    ModelNotFound,
    ProviderError,
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
    garbage,
    html_page,
    json_reply,
    length_mismatch,
    ollama_ndjson,
    reset_at_accept,
    reset_before_headers,
    retry_later,
    split_bytes,
    stall_after,
    stall_before_body,
    stall_before_headers,
    with_type,
)
from plugins.ollama.tests.samples import not_found

WHOLE = ollama_ndjson("The ", "sky ", "is ", "blue.")
KEY = "k-very-secret-123"
FILLED = "x" * 492 + KEY
"""What an error repeats of a server's words ends within the key."""
GARBLED = b'{"message": {"content": ' + b"x" * 50 + KEY.encode() + b"\n"
"""The same of a line."""
REMOTE = {"message": {"role": "assistant", "content": ""}, "remote_model": "m"}
PATIENT = {"connect": 20, "first_byte": 20, "between": 20}
"""Limits that nothing meets but what stands still."""
QUICK = {"first_byte": 0.5}
STILL = {"between": 0.5}


@dataclass(frozen=True)
class Fault:
    """What the server does, and what a host is told of it."""

    reply: ScriptedReply
    error: type[ProviderError]
    says: str
    may_retry: bool
    status: int | None = None
    text: str = ""
    retry_after: float | None = None
    http: dict[str, Any] = field(default_factory=dict)
    passes_show: bool = False
    """Whether the chat is sent although `/api/show` is answered like this."""


def said(status: int, words: str, headers: dict[str, str] | None = None) -> ScriptedReply:
    return json_reply(status, {"error": words}, headers)


NEVER_BEGAN = {
    "reset at accept": Fault(reset_at_accept(), ProviderUnavailable, "closed the", may_retry=True),
    "reset": Fault(reset_before_headers(), ProviderUnavailable, "closed the", may_retry=True),
    "closed": Fault(close_before_headers(), ProviderUnavailable, "closed the", may_retry=True),
    "stalled": Fault(stall_before_headers(), ProviderTimeout, "did not begin", True, http=QUICK),
    "stalled head": Fault(
        stall_before_body(WHOLE), ProviderTimeout, "did not begin", True, http=QUICK
    ),
    "HTML page": Fault(html_page(502), ProviderUnavailable, "502: .*Bad Gateway", True, 502),
    "rate limit": Fault(retry_later(429, 7), RateLimited, "come again", True, 429, retry_after=7.0),
    "short limit": Fault(
        retry_later(429, 0.05, "milliseconds"), RateLimited, "again", True, 429, retry_after=0.05
    ),
    "busy": Fault(
        said(503, "server busy, please try again.  maximum pending requests exceeded"),
        ProviderUnavailable,
        "server busy",
        True,
        503,
    ),
    "crash": Fault(said(500, "llama runner terminated"), ProviderUnavailable, "runner", True, 500),
    "no key": Fault(said(401, "unauthorized"), AuthenticationError, "api_key", False, 401),
    "no model": Fault(not_found("m"), ModelNotFound, "dovetail ollama pull m", False, 404),
    "bad request": Fault(
        said(400, "invalid options"), InvalidRequest, "options", False, 400, passes_show=True
    ),
    "too long": Fault(
        said(400, "the input length exceeds the context length"),
        ContextTooLong,
        "shorten the conversation",
        False,
        400,
        passes_show=True,
    ),
    "wrong address": Fault(
        html_page(404), InvalidRequest, "check `base_url`", False, 404, passes_show=True
    ),
    "moved": Fault(
        json_reply(302, {}, {"location": "https://elsewhere/"}),
        InvalidRequest,
        "https://elsewhere/: .*`base_url`",
        False,
        302,
        passes_show=True,
    ),
    "page with a good status": Fault(
        html_page(200), InvalidResponse, "not JSON", may_retry=False, passes_show=True
    ),
    "garbage": Fault(garbage(), InvalidResponse, "not JSON", may_retry=False, passes_show=True),
    "nothing": Fault(
        cut_between(WHOLE, 0),
        StreamInterrupted,
        "before it began",
        may_retry=True,
        passes_show=True,
    ),
    "cut in the first line": Fault(
        cut_in_line(WHOLE, 0),
        StreamInterrupted,
        "middle of a line",
        may_retry=True,
        passes_show=True,
    ),
    "an error at once": Fault(
        error_inside(WHOLE, 0, "unexpected EOF"), ProviderUnavailable, "EOF", True, 200
    ),
    "an error with the key": Fault(
        error_inside(WHOLE, 0, FILLED), ProviderUnavailable, "xxx", True, 200
    ),
    "crash with the key": Fault(said(500, FILLED), ProviderUnavailable, "500: xxx", True, 500),
    "page with the key": Fault(
        html_page(200, "x" * 35 + KEY), InvalidResponse, "not JSON", False, passes_show=True
    ),
    "garbled line with the key": Fault(
        replace(WHOLE, steps=(GARBLED, *WHOLE.steps)),
        InvalidResponse,
        "not JSON",
        False,
        passes_show=True,
    ),
    "endless line": Fault(
        endless_line(),
        InvalidResponse,
        "a line of more than 64 MiB",
        False,
        passes_show=True,
    ),
    "unknown fields only": Fault(
        cut_between(ollama_ndjson(REMOTE, "The "), 1),
        StreamInterrupted,
        "before it was complete",
        True,
        passes_show=True,
    ),
    "load": Fault(
        ollama_ndjson(finish="load", counts={}),
        InvalidResponse,
        "only loaded the model",
        False,
        passes_show=True,
    ),
    "total": Fault(
        comments_only(WHOLE, 0, comment=b"\n"),
        ProviderTimeout,
        "not complete within 0.3 s",
        may_retry=False,
        http={"total": 0.3},
    ),
}
BROKE_OFF = {
    "stalled": Fault(
        stall_after(WHOLE, 2), ProviderTimeout, "stood still", True, text="The sky ", http=STILL
    ),
    "blank lines only": Fault(
        comments_only(WHOLE, 2, comment=b"\n"),
        ProviderTimeout,
        "stood still",
        True,
        text="The sky ",
        http=STILL,
    ),
    "cut between lines": Fault(
        cut_between(WHOLE, 2), StreamInterrupted, "before it was complete", True, text="The sky "
    ),
    "cut before the last line": Fault(
        cut_between(WHOLE, 4), StreamInterrupted, "before it was", True, text="The sky is blue."
    ),
    "cut in a line": Fault(
        cut_in_line(WHOLE, 2), StreamInterrupted, "middle of a line", True, text="The sky "
    ),
    "cut in the last line": Fault(
        cut_in_line(WHOLE, 4), StreamInterrupted, "middle of", True, text="The sky is blue."
    ),
    "connection closed": Fault(
        cut_between(WHOLE, 2, clean=False), StreamInterrupted, "broke", True, text="The sky "
    ),
    "shorter than promised": Fault(
        length_mismatch(cut_between(WHOLE, 2)), StreamInterrupted, "broke", True, text="The sky "
    ),
    "an error": Fault(
        error_inside(WHOLE, 2, "an error was encountered while running the model"),
        ProviderUnavailable,
        "while running the model",
        True,
        200,
        text="The sky ",
    ),
    "connection closed in a line": Fault(
        cut_in_line(WHOLE, 2, clean=False), StreamInterrupted, "broke", True, text="The sky "
    ),
    "longer than promised": Fault(
        length_mismatch(WHOLE, -10), StreamInterrupted, "middle of", True, text="The sky is blue."
    ),
    "an error with the key": Fault(
        error_inside(WHOLE, 2, FILLED), ProviderUnavailable, "xxx", True, 200, text="The sky "
    ),
    "garbled line with the key": Fault(
        replace(WHOLE, steps=(*WHOLE.steps[:2], GARBLED, *WHOLE.steps[2:])),
        InvalidResponse,
        "not JSON",
        False,
        text="The sky ",
    ),
}
HARMLESS = {
    "another type": with_type(WHOLE, "text/html"),
    "byte by byte": split_bytes(WHOLE),
    "slowly": drip(WHOLE, 100, 0.001),
    "dies when it is used again": dies_when_reused(WHOLE),
    "unknown fields first": replace(WHOLE, steps=(to_json(REMOTE) + b"\n", *WHOLE.steps)),
}
"""What is odd, and yet a whole answer."""
