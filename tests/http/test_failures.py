"""What servers say when they refuse, as they document it or as users report it, and what it means.

Statuses, codes and words differ from server to server; the class of the error does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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

if TYPE_CHECKING:
    from collections.abc import Mapping


class Refusal(NamedTuple):
    status: int
    body: Any
    kind: type[ProviderError]
    says: str
    may_retry: bool = False


def openai(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def vllm(message: str, kind: str, code: int) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


REFUSALS = {
    "openai, key": Refusal(
        401,
        openai("Incorrect API key provided: sk-abcdefghijkl.", "x", "invalid_api_key"),
        AuthenticationError,
        "Incorrect API key provided",
    ),
    "openai, country": Refusal(
        403, openai("Country not supported", "request_forbidden"), AuthenticationError, "Country"
    ),
    "openai, rate": Refusal(
        429,
        openai(
            "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit "
            "30000, Used 29000, Requested 5000. Please try again in 8s.",
            "tokens",
            "rate_limit_exceeded",
        ),
        RateLimited,
        "Please try again in 8s",
        may_retry=True,
    ),
    "openai, quota": Refusal(
        429,
        openai(
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
        RateLimited,
        "the account's quota is used up",
    ),
    "openai, larger than the rate": Refusal(
        429,
        openai(
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 342389. "
            "The input or output tokens must be reduced in order to run successfully.",
            "tokens",
            "rate_limit_exceeded",
        ),
        ContextTooLong,
        "shorten the conversation",
    ),
    "openai, length": Refusal(
        400,
        openai(
            "This model's maximum context length is 8192 tokens. However, your messages resulted "
            "in 9000 tokens. Please reduce the length of the messages.",
            "invalid_request_error",
            "context_length_exceeded",
        ),
        ContextTooLong,
        "maximum context length",
    ),
    "openai, model": Refusal(
        404,
        openai("The model `gpt-9` does not exist", "invalid_request_error", "model_not_found"),
        ModelNotFound,
        "`dovetail models` lists",
    ),
    "openai, policy": Refusal(
        400,
        openai("Your request was rejected by our safety system.", "x", "content_policy_violation"),
        ContentFiltered,
        "safety system",
    ),
    "openai, parameter": Refusal(
        400,
        openai("Unsupported parameter: 'max_tokens'", "invalid_request_error"),
        InvalidRequest,
        "max_tokens",
    ),
    "openai, server": Refusal(
        500,
        openai("The server had an error while processing your request", "server_error"),
        ProviderUnavailable,
        "answered 500",
        may_retry=True,
    ),
    "openai, overloaded": Refusal(
        503, openai("The engine is overloaded", "x"), ProviderUnavailable, "overloaded", True
    ),
    "azure, key": Refusal(
        401,
        {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}},
        AuthenticationError,
        "Access denied",
    ),
    "azure, deployment": Refusal(
        404,
        {
            "error": {
                "code": "DeploymentNotFound",
                "message": "The API deployment for this resource does not exist.",
            }
        },
        ModelNotFound,
        "does not exist",
    ),
    "azure, address": Refusal(
        404,
        {"error": {"code": "404", "message": "Resource not found"}},
        InvalidRequest,
        "check `base_url`",
    ),
    "azure, filter": Refusal(
        400,
        {
            "error": {
                "message": "The response was filtered due to the prompt triggering Azure OpenAI's "
                "content management policy.",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
        ContentFiltered,
        "content management policy",
    ),
    "mistral, model": Refusal(
        400,
        {
            "object": "error",
            "message": "Invalid model: nope",
            "type": "invalid_model",
            "param": None,
            "code": "1500",
        },
        ModelNotFound,
        "Invalid model: nope",
    ),
    "mistral, field": Refusal(
        422,
        {
            "detail": [
                {
                    "type": "extra_forbidden",
                    "loc": ["body", "store"],
                    "msg": "Extra inputs are not permitted",
                    "input": False,
                }
            ]
        },
        InvalidRequest,
        "422: body.store: Extra inputs are not permitted",
    ),
    "mistral, nested": Refusal(
        422,
        {
            "object": "error",
            "message": {"detail": [{"loc": ["body", "n"], "msg": "Field required"}]},
            "type": "invalid_request_error",
        },
        InvalidRequest,
        "body.n: Field required",
    ),
    "mistral, key": Refusal(
        401, {"message": "Unauthorized", "request_id": "1"}, AuthenticationError, "Unauthorized"
    ),
    "mistral, length": Refusal(
        400,
        {
            "object": "error",
            "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with "
            "32768 maximum context length",
            "code": "3051",
        },
        ContextTooLong,
        "40000 tokens",
    ),
    "groq, rate": Refusal(
        429,
        openai(
            "Rate limit reached for model `llama-3.1-8b-instant` in organization `org_x` on tokens "
            "per minute (TPM): Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s. "
            "Need more tokens? Upgrade at https://console.groq.com/settings/billing",
            "tokens",
            "rate_limit_exceeded",
        ),
        RateLimited,
        "try again in 4.77s",
        may_retry=True,
    ),
    "groq, size": Refusal(
        413,
        openai(
            "Request too large for model `llama-3.3-70b` on tokens per minute (TPM): Limit 12000, "
            "Requested 14137, please reduce your message size and try again.",
            "tokens",
            "rate_limit_exceeded",
        ),
        ContextTooLong,
        "reduce your message size",
    ),
    "groq, model": Refusal(
        404,
        openai(
            "The model `x` does not exist or you do not have access to it.", "y", "model_not_found"
        ),
        ModelNotFound,
        "do not have access",
    ),
    "openrouter, credit": Refusal(
        402,
        {"error": {"code": 402, "message": "Insufficient credits. Add more."}},
        RateLimited,
        "the account's quota is used up",
    ),
    "openrouter, moderation": Refusal(
        403,
        {
            "error": {
                "code": 403,
                "message": "Your chosen model requires moderation and your input was flagged",
                "metadata": {"reasons": ["violence"]},
            }
        },
        ContentFiltered,
        "flagged",
    ),
    "openrouter, model": Refusal(
        400,
        {"error": {"code": 400, "message": "x/y is not a valid model ID"}},
        ModelNotFound,
        "x/y",
    ),
    "openrouter, time": Refusal(
        408,
        {"error": {"code": 408, "message": "timed out"}},
        ProviderTimeout,
        "timed out",
        may_retry=True,
    ),
    "openrouter, upstream": Refusal(
        502,
        {"error": {"code": 502, "message": "Provider returned error"}},
        ProviderUnavailable,
        "Provider returned error",
        may_retry=True,
    ),
    "deepseek, model": Refusal(
        400, openai("Model Not Exist", "invalid_request_error"), ModelNotFound, "Not Exist"
    ),
    "deepseek, balance": Refusal(
        402, openai("Insufficient Balance", "unknown_error"), RateLimited, "quota is used up"
    ),
    "deepseek, content": Refusal(
        400, openai("Content Exists Risk", "invalid_request_error"), ContentFiltered, "Risk"
    ),
    "vllm, model": Refusal(
        404,
        vllm("The model `x` does not exist.", "NotFoundError", 404),
        ModelNotFound,
        "does not exist",
    ),
    "vllm, length": Refusal(
        400,
        vllm(
            "This model's maximum context length is 4096 tokens. However, you requested 5000 "
            "tokens (4000 in the messages, 1000 in the completion).",
            "BadRequestError",
            400,
        ),
        ContextTooLong,
        "4096 tokens",
    ),
    "vllm, new shape": Refusal(
        400,
        {"error": vllm("top_k must be -1 or at least 1", "BadRequestError", 400)},
        InvalidRequest,
        "top_k",
    ),
    "llama.cpp, length": Refusal(
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 14429,
                "n_ctx": 8192,
            }
        },
        ContextTooLong,
        "exceeds the available context size",
    ),
    "llama.cpp, an older one": Refusal(
        500,
        {
            "error": {
                "code": 500,
                "message": "the request exceeds the available context size.",
                "type": "server_error",
            }
        },
        ContextTooLong,
        "context size",
    ),
    "llama.cpp, loading": Refusal(
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        ProviderUnavailable,
        "Loading model",
        may_retry=True,
    ),
    "llama.cpp, key": Refusal(
        401,
        {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}},
        AuthenticationError,
        "check `api_key`",
    ),
    "lm studio, length": Refusal(
        400,
        {
            "error": "Trying to keep the first 4567 tokens when context the overflows. However, "
            "the model is loaded with context length of only 4096 tokens, which is not enough."
        },
        ContextTooLong,
        "4096",
    ),
    "gemini, in a list": Refusal(
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        AuthenticationError,
        "check `api_key`",
    ),
    "gemini, length": Refusal(
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (1200000) exceeds the maximum number of "
                    "tokens allowed (1048575).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        ContextTooLong,
        "1200000",
    ),
    "ollama, model": Refusal(
        404,
        {"error": "model 'llama9' not found"},
        ModelNotFound,
        "model 'llama9' not found (`dovetail models` lists",
    ),
    "ollama, older": Refusal(
        404,
        {"error": 'model "llama9" not found, try pulling it first'},
        ModelNotFound,
        "try pulling it first",
    ),
    "ollama, request": Refusal(400, {"error": "invalid options: num_ctx"}, InvalidRequest, "opti"),
    "ollama, tools": Refusal(
        400,
        {"error": "registry.ollama.ai/library/x does not support tools"},
        InvalidRequest,
        "does not support tools",
    ),
    "ollama, length": Refusal(
        400, {"error": "the input length exceeds the context length"}, ContextTooLong, "input"
    ),
    "ollama, busy": Refusal(
        503,
        {"error": "server busy, please try again.  maximum pending requests exceeded"},
        ProviderUnavailable,
        "server busy, please try again",
        may_retry=True,
    ),
    "ollama, crash": Refusal(
        500,
        {"error": "llama runner process has terminated: signal: killed"},
        ProviderUnavailable,
        "signal: killed",
        may_retry=True,
    ),
    "a conflict": Refusal(409, {}, ProviderUnavailable, "answered 409", may_retry=True),
    "a gateway too late": Refusal(504, "", ProviderTimeout, "answered 504", may_retry=True),
    "a teapot": Refusal(418, None, InvalidRequest, "answered 418"),
    "a wrong address": Refusal(404, "404 page not found", InvalidRequest, "check `base_url`"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_becomes_the_error_that_fits(name: str) -> None:
    refusal = REFUSALS[name]
    body = refusal.body.encode() if isinstance(refusal.body, str) else to_json(refusal.body)
    error = error_of_response(refusal.status, {}, body)
    assert type(error) is refusal.kind
    assert refusal.says in str(error)
    assert error.details.may_retry is refusal.may_retry
    assert error.details.status == refusal.status
    assert "abcdefghijkl" not in str(error)


@pytest.mark.parametrize(
    ("error", "kind", "may_retry"),
    [
        ("the model has crashed", ProviderUnavailable, True),
        ({"message": "The server had an error", "type": "server_error"}, ProviderUnavailable, True),
        ({"code": "server_error", "message": "disconnected"}, ProviderUnavailable, True),
        ({"code": 429, "message": "slow down"}, RateLimited, True),
        ({"code": "²²²", "message": "what"}, ProviderUnavailable, True),
        ({"code": "502", "message": "upstream"}, ProviderUnavailable, True),
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
