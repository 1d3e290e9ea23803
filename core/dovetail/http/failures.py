"""From a failed HTTP exchange to the error that says what is wrong and what to do."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from dovetail.errors import (
    AuthenticationError,
    ContentFiltered,
    ContextTooLong,
    InvalidRequest,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from dovetail.http.retry_after import retry_after, should_retry
from dovetail.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_MESSAGE = 500
"""Characters of a server's own words that an error repeats."""
SEARCHED = 20_000
"""Characters of them that are looked at, for secrets too."""
MOST_FIELDS = 5
"""Wrong fields of a request that an error names."""
REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "apim-request-id",
    "mistral-correlation-id",
    "x-generation-id",
    "cf-ray",
)
"""Headers in which servers give the id of a request."""
NEVER = {
    501: "the server cannot do this at all",
    505: "see `http2` in this instance's `http` table",
}
"""Statuses that are said of a server and not of its moment, and what to do."""

_TOO_LONG = re.compile(
    r"context[ _](length|size|window)|maximum context|too many tokens|prompt is too long|"
    r"exceed\w* .{0,40}(context|tokens)|input (is )?too long|exceed_context_size|"
    r"request too large",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content[ _]?(filter|policy)|content management policy|safety system|moderation|"
    r"content exists risk",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model[ _]not[ _](found|exist)|no such model|(unknown|invalid) model|not a valid model|"
    r"DeploymentNotFound|model\b.{0,120}?(not (be )?found|does not exist)",
    re.IGNORECASE | re.DOTALL,
)
_NO_QUOTA = re.compile(
    r"insufficient[_ ](quota|balance|credits)|exceeded your current quota|"
    r"billing[_ ](details|hard)",
    re.IGNORECASE,
)
_NO_KEY = re.compile(r"invalid_api_key|api key not valid", re.IGNORECASE)
_FAILED_STATUS = re.compile(r"[45][0-9][0-9]")
_LIMITED = re.compile(r"rate[ _]?limit", re.IGNORECASE)
_MARKUP = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def error_of_response(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error for an answer whose status says that it failed. The instance is filled in later."""
    words, code = words_of(body)
    kind, advice = _kind(status, words, code)
    text = f"the server answered {status}"
    if words:
        text += f": {words}"
    if 300 <= status < 400 and "location" in headers:
        advice = f"it points to {_shorten(headers['location'])}: write its address as `base_url`"
    if advice:
        text += f" ({advice})"
    return kind(
        text,
        status=status,
        request_id=request_id_of(headers),
        retry_after=retry_after(headers),
        may_retry=_may_retry(status, headers, f"{code} {words}", kind),
    )


def error_of_object(error: object, status: int = 200, request_id: str = "") -> ProviderError:
    """The error for an `error` object inside an answer that began well."""
    words, code = words_of_object(error)
    kind, advice = _kind(_status_in(error, status), words, code)
    may_retry = kind.passing and not _NO_QUOTA.search(f"{code} {words}")
    made = kind(
        _broke_off(words, advice), status=status, request_id=request_id, may_retry=may_retry
    )
    made.retell = partial(_retell, error, advice)
    return made


def request_id_of(headers: Mapping[str, str]) -> str:
    """The id that a server gave a request, by the header it uses for it; empty if there is none."""
    return next((headers[name] for name in REQUEST_IDS if name in headers), "")


def words_of(body: bytes) -> tuple[str, str]:
    """What a server says of an error, shortened and without secrets, and its code."""
    try:
        value: Any = from_json(body)
    except ValueError:
        return _shorten(_MARKUP.sub(" ", body[:SEARCHED].decode(errors="replace"))), ""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        return words_of_object(value.get("error", value))
    return _shorten(str(value)), ""


def words_of_object(error: object, mask: Callable[[bytes], bytes] | None = None) -> tuple[str, str]:
    """The same, of an `error` that is a text or an object; shapes differ from server to server.

    `mask` takes keys out of what is repeated before that is shortened.
    """
    if not isinstance(error, dict):
        return _shorten(str(error), mask), ""
    code = " ".join(str(error[k]) for k in ("code", "type", "status") if error.get(k) is not None)
    for key in ("message", "detail", "error", "msg", "title"):
        words = error.get(key)
        if isinstance(words, dict):
            return words_of_object(words, mask)
        if isinstance(words, list):  # FastAPI's: what is wrong with each field
            words = "; ".join(_of_field(item) for item in words[:MOST_FIELDS])
        if words:
            return _shorten(str(words), mask), code
    return _shorten(code or str(error), mask), code


def _broke_off(words: str, advice: str) -> str:
    text = f"the server broke off with an error: {words or 'it does not say which'}"
    return f"{text} ({advice})" if advice else text


def _retell(error: object, advice: str, mask: Callable[[bytes], bytes]) -> str:
    words, _ = words_of_object(error, mask)
    return _broke_off(words, advice)


def _kind(status: int, words: str, code: str) -> tuple[type[ProviderError], str]:
    """The error's class, and what to do where the server does not say.

    Servers disagree on statuses, and inside an answer that began well there is none: what they say
    goes first.
    """
    said = f"{code} {words}"
    begun = status < 300
    if (begun or status in (400, 403, 422)) and _FILTERED.search(said):
        return ContentFiltered, ""
    if status in (401, 403, 407) or ((begun or status == 400) and _NO_KEY.search(said)):
        return AuthenticationError, f"check `{'http.proxy' if status == 407 else 'api_key'}`"
    if (begun or status in (404, 400, 422)) and _NO_MODEL.search(said):
        return ModelNotFound, "`dovetail models` lists what there is"
    if status == 404:
        return InvalidRequest, "check `base_url`: the server has no such address"
    if _is_too_long(status, said):
        return ContextTooLong, "shorten the conversation or choose a model with a larger window"
    return _by_status(status, said)


def _is_too_long(status: int, said: str) -> bool:
    if status == 429:  # about the rate, unless this one request is more than it will ever allow
        return "request too large" in said.lower()
    return (status < 300 or status in (400, 413, 422, 500)) and bool(_TOO_LONG.search(said))


def _by_status(status: int, said: str) -> tuple[type[ProviderError], str]:
    if status in (402, 429) or (status < 300 and _LIMITED.search(said)):
        spent = status == 402 or _NO_QUOTA.search(said)
        return RateLimited, "the account's quota is used up" if spent else ""
    if status in (408, 504):
        return ProviderTimeout, ""
    if status in NEVER:
        return InvalidRequest, NEVER[status]
    if status >= 500 or status in (409, 425):
        return ProviderUnavailable, ""
    if status < 300:
        return (InvalidRequest if "invalid_request" in said else ProviderUnavailable), ""
    return InvalidRequest, ""


def _may_retry(
    status: int, headers: Mapping[str, str], said: str, kind: type[ProviderError]
) -> bool:
    told = should_retry(headers)
    if told is not None:
        return told
    if issubclass(kind, InvalidRequest) or _NO_QUOTA.search(said):
        return False
    if status == 402:  # the account has no credit, unless it says that it will have
        return "retry-after" in headers
    return status in (408, 409, 429) or status >= 500


def _status_in(error: object, status: int) -> int:
    """The status an error object gives as its code, as some servers do in mid-stream."""
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    number = str(code)
    return int(number) if _FAILED_STATUS.fullmatch(number) else status


def _of_field(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    parts = item.get("loc")
    place = ".".join(map(str, parts)) if isinstance(parts, list) else ""
    return f"{place}: {item.get('msg', '')}" if place else str(item.get("msg", item))


def _shorten(text: str, mask: Callable[[bytes], bytes] | None = None) -> str:
    text = text[:SEARCHED]
    if mask is not None:
        text = mask(text.encode(errors="replace")).decode()
    text = " ".join(redact(text).split())
    if len(text) <= LONGEST_MESSAGE:
        return text
    cut = text[:LONGEST_MESSAGE]
    # Half a word might be half a key, which nobody who masks keys would know for one.
    return (cut.rpartition(" ")[0] or cut) + "…"
