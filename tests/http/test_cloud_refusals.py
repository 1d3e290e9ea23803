"""What services in the cloud say when they refuse, as they document it or as users report it.

Statuses, codes and words differ from one to another; the class of the error does not.
"""

from __future__ import annotations

import pytest

from dovetail import (
    AuthenticationError,
    ContentFiltered,
    ContextTooLong,
    InvalidRequest,
    ModelNotFound,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)
from tests.http.refusals import Refusal, check, openai

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
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_becomes_the_error_that_fits(name: str) -> None:
    check(REFUSALS[name])
