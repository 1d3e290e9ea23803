"""What some answers have beside their words: sources, and how likely each token was."""

from __future__ import annotations

import math
from typing import Any

from dovetail import Annotation, Logprobs, TokenLogprob

_TOKEN = frozenset({"token", "logprob", "bytes", "top_logprobs"})
LEAST = -9999.0
"""What OpenAI says for a probability of nothing; others say minus infinity, which is no JSON."""


def annotations_of(raw: object) -> tuple[Annotation, ...]:
    """Where the text comes from; what the server said of it besides is in `extras`."""
    if not isinstance(raw, list):
        return ()
    return tuple([_annotation(item) for item in raw if isinstance(item, dict)])


def _annotation(item: dict[str, Any]) -> Annotation:
    kind = item.get("type")
    kind = kind if isinstance(kind, str) else ""
    inner = item.get(kind)
    said = {**item, **inner} if isinstance(inner, dict) else item
    known = {"type", kind, "url", "title", "start_index", "end_index"}
    return Annotation(
        type=kind or "url_citation",
        url=_text(said.get("url")),
        title=_text(said.get("title")),
        start=_place(said.get("start_index")),
        end=_place(said.get("end_index")),
        extras={key: value for key, value in said.items() if key not in known},
    )


def logprobs_of(raw: object, extras: dict[str, Any]) -> Logprobs | None:
    """Log probabilities; in another shape than OpenAI's they are added to `extras` as they are."""
    if not raw:
        return None
    if isinstance(raw, dict):
        content, refusal = raw.get("content"), raw.get("refusal")
        if isinstance(content, list) or isinstance(refusal, list):
            return Logprobs(content=_tokens(content), refusal=_tokens(refusal))
        if raw.keys() <= {"content", "refusal"}:
            return None  # both are null
    extras["logprobs"] = (raw,)
    return None


def _tokens(raw: object) -> tuple[TokenLogprob, ...]:
    if not isinstance(raw, list):
        return ()
    return tuple([_token(item) for item in raw if isinstance(item, dict)])


def _token(item: dict[str, Any]) -> TokenLogprob:
    logprob = item.get("logprob")
    finite = isinstance(logprob, (int, float)) and math.isfinite(logprob)
    octets = item.get("bytes")
    numbers = isinstance(octets, list) and all(type(octet) is int for octet in octets)
    return TokenLogprob(
        token=_text(item.get("token")),
        logprob=float(logprob) if finite and logprob is not None else LEAST,
        bytes=tuple(octets) if numbers and octets is not None else None,
        top=_tokens(item.get("top_logprobs")),
        extras={key: value for key, value in item.items() if key not in _TOKEN},
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _place(value: object) -> int | None:
    return value if type(value) is int else None
