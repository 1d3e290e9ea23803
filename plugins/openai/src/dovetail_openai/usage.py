"""Token counts in the shapes that servers give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def usage_of(raw: Mapping[str, Any]) -> Usage | None:
    """The usage that a chunk or a whole answer gives; None if it gives none. Zero is a count."""
    counted = raw.get("usage")
    if counted is None and isinstance(groq := raw.get("x_groq"), dict):
        counted = groq.get("usage")  # Groq's place for it in streams
    if not isinstance(counted, dict) or not counted:
        return None
    made: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    for key, value in counted.items():
        if key in _COUNTS:
            made[key] = _count(value)
        elif value is not None:
            extras[key] = value
    made["cached_tokens"] = _take(extras, "prompt_tokens_details", "cached_tokens")
    if made["cached_tokens"] is None:
        made["cached_tokens"] = _count(counted.get("prompt_cache_hit_tokens"))  # DeepSeek
    made["reasoning_tokens"] = _take(extras, "completion_tokens_details", "reasoning_tokens")
    if extras:
        made["extras"] = extras
    return Usage(**made)


def _take(extras: dict[str, Any], key: str, name: str) -> int | None:
    """The count `name` out of the details under `key`, which stay if they hold more."""
    details = extras.get(key)
    if not isinstance(details, dict):
        return None
    if details.keys() <= {name}:
        del extras[key]
    return _count(details.get(name))


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value < 2**63 else None
