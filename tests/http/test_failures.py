"""What a failed answer means, by its status, its headers and whatever else is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from dovetail import (
    AuthenticationError,
    ContentFiltered,
    ContextTooLong,
    InvalidRequest,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    error_of_object,
)
from dovetail.http.failures import LONGEST_MESSAGE, error_of_response
from tests.http.refusals import Refusal, check

if TYPE_CHECKING:
    from collections.abc import Mapping

REFUSALS = {
    "a conflict": Refusal(409, {}, ProviderUnavailable, "answered 409", may_retry=True),
    "a gateway too late": Refusal(504, "", ProviderTimeout, "answered 504", may_retry=True),
    "a teapot": Refusal(418, None, InvalidRequest, "answered 418"),
    "a wrong address": Refusal(404, "404 page not found", InvalidRequest, "check `base_url`"),
    "not implemented": Refusal(501, "", InvalidRequest, "answered 501 (the server cannot do this"),
    "another HTTP": Refusal(505, "", InvalidRequest, "answered 505 (see `http2` in"),
    "any other of a server": Refusal(599, "", ProviderUnavailable, "answered 599", may_retry=True),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_status_alone_says_which_error_it_is(name: str) -> None:
    check(REFUSALS[name])


@pytest.mark.parametrize(
    ("error", "kind", "may_retry"),
    [
        ("the model has crashed", ProviderUnavailable, True),
        ({"message": "The server had an error", "type": "server_error"}, ProviderUnavailable, True),
        ({"code": "server_error", "message": "disconnected"}, ProviderUnavailable, True),
        ({"code": 429, "message": "slow down"}, RateLimited, True),
        ({"code": "²²²", "message": "what"}, ProviderUnavailable, True),
        ({"code": "502", "message": "upstream"}, ProviderUnavailable, True),
        ({"code": 501, "message": "not supported"}, InvalidRequest, False),
        ({"message": "Rate limit reached", "code": "rate_limit_exceeded"}, RateLimited, True),
        ({"message": "no", "code": 429, "type": "insufficient_quota"}, RateLimited, False),
        ({"message": "bad", "type": "BadRequestError", "code": 400}, InvalidRequest, False),
        ({"message": "bad", "type": "invalid_request_error"}, InvalidRequest, False),
        ({"message": "cut", "code": "content_filter"}, ContentFiltered, False),
        ({"message": "exceeds the available context size", "code": 400}, ContextTooLong, False),
        ({"message": "This model's maximum context length is 9"}, ContextTooLong, False),
        ({"message": "no", "code": "invalid_api_key"}, AuthenticationError, False),
        ('model "x" not found, try pulling it first', ModelNotFound, False),
        (None, ProviderUnavailable, True),
        ({}, ProviderUnavailable, True),
        ([1], ProviderUnavailable, True),
    ],
)
def test_an_error_inside_an_answer(
    error: object, kind: type[ProviderError], may_retry: bool
) -> None:
    found = error_of_object(error, 200, "req-1")
    assert type(found) is kind
    assert found.details.may_retry is may_retry
    assert (found.details.status, found.details.request_id) == (200, "req-1")


@pytest.mark.parametrize(
    ("headers", "status", "may_retry"),
    [
        ({"x-should-retry": "false"}, 503, False),
        ({"x-should-retry": "true"}, 400, True),
        ({"retry-after": "1"}, 402, True),
        ({}, 402, False),
    ],
)
def test_what_a_server_says_of_trying_again_goes_first(
    headers: Mapping[str, str], status: int, may_retry: bool
) -> None:
    assert error_of_response(status, headers, b"").details.may_retry is may_retry


@pytest.mark.parametrize(
    "name", ["x-request-id", "request-id", "apim-request-id", "mistral-correlation-id", "cf-ray"]
)
def test_the_id_of_a_request_is_kept(name: str) -> None:
    assert error_of_response(500, {name: "r-1"}, b"").details.request_id == "r-1"


def test_a_page_is_reduced_to_its_words() -> None:
    page = b"<html><style>h1 {}</style><script>alert(1)</script><h1>Bad\n Gateway</h1></html>"
    assert str(error_of_response(502, {}, page)) == "the server answered 502: Bad Gateway"


def test_a_long_message_is_cut_and_secrets_in_it_are_masked() -> None:
    said = "Bearer abcdefgh123456 " + "x" * 10_000
    text = str(error_of_response(500, {}, to_json({"error": said})))
    assert len(text) < LONGEST_MESSAGE + 100
    assert "abcdefgh" not in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "detail", "loc", "msg", "type", "x"]),
            inner,
        )
    ),
    max_leaves=8,
)


@given(JSON | st.binary(), st.integers(300, 599))
def test_whatever_the_body_is_there_is_an_error_that_says_the_status(
    value: Any, status: int
) -> None:
    body = value if isinstance(value, bytes) else to_json(value)
    error = error_of_response(status, {}, body)
    assert isinstance(error, ProviderError)
    assert str(error).startswith(f"the server answered {status}")


@given(JSON)
def test_whatever_an_error_object_is_there_is_an_error(value: Any) -> None:
    assert isinstance(error_of_object(value), ProviderError)
