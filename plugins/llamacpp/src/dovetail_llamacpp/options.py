"""How a model is to be loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail_llamacpp.gguf import Header

DEFAULT_CONTEXT = 4096
STEP = 256
"""llama.cpp makes a slot's context a multiple of this many tokens."""


@dataclass(frozen=True, slots=True)
class Options:
    """What an engine is made from; `settings.py` explains the fields that it shares."""

    path: Path
    name: str
    """What messages call it."""
    embedding: bool = False
    """Make it ready for embeddings, which must be said before it is loaded."""
    context: int | None = None
    slots: int = 1
    threads: int | None = None
    batch: int = 256
    gpu_layers: int = -1
    pooling: str | None = None
    verbosity: int = 0
    waiting: int = 10_000

    def tokens(self, header: Header) -> int:
        """Tokens that prompt and answer may have together in each slot."""
        own = header.context_length or DEFAULT_CONTEXT
        wanted = self.context or min(own, DEFAULT_CONTEXT)
        return -(-wanted // STEP) * STEP
