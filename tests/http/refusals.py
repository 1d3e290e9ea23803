"""A refusal by a server, and what is to become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from dovetail.http.failures import error_of_response

if TYPE_CHECKING:
    from dovetail import ProviderError


class Refusal(NamedTuple):
    status: int
    body: Any
    kind: type[ProviderError]
    says: str
    may_retry: bool = False


def openai(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def check(refusal: Refusal) -> None:
    """See that the error is the one that fits, and shows no key."""
    body = refusal.body.encode() if isinstance(refusal.body, str) else to_json(refusal.body)
    error = error_of_response(refusal.status, {}, body)
    assert type(error) is refusal.kind
    assert refusal.says in str(error)
    assert error.details.may_retry is refusal.may_retry
    assert error.details.status == refusal.status
    assert "abcdefghijkl" not in str(error)
