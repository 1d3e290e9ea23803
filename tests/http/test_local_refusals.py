"""What local servers say when they refuse, as they document it or as users report it."""

from __future__ import annotations

from typing import Any

import pytest

from dovetail import (
    AuthenticationError,
    ContextTooLong,
    InvalidRequest,
    ModelNotFound,
    ProviderUnavailable,
)
from tests.http.refusals import Refusal, check


def vllm(message: str, kind: str, code: int) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


REFUSALS = {
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
    "llama.cpp, not asked for": Refusal(
        501,
        {
            "error": {
                "code": 501,
                "message": "This server does not support embeddings. Start it with `--embeddings`",
                "type": "not_supported_error",
            }
        },
        InvalidRequest,
        "Start it with `--embeddings` (the server cannot do this at all)",
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
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_becomes_the_error_that_fits(name: str) -> None:
    check(REFUSALS[name])
