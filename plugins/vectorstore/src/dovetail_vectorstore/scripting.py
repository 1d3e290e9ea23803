"""What scripts can call: `search_knowledge`."""

from __future__ import annotations

from typing import Any

from dovetail import ExecutionContext, current_context
from dovetail_vectorstore.errors import VectorStoreError
from dovetail_vectorstore.retrieval import described, running
from dovetail_vectorstore.scope import Scope

MOST = 50


async def search_knowledge(query: str, limit: int = 5) -> list[dict[str, Any]]:
    """The passages that fit `query` best: dictionaries with text, source, place, score, metadata.

    It finds what the script's turn may find: its user's and what is shared. At most 50.

    Raises:
        VectorStoreError: there is no vector store, or no telling which.
    """
    services = running()
    if len(services) != 1:
        which = "several kernels with one run" if services else "no vector store runs"
        raise VectorStoreError(f"search_knowledge: {which} in this event loop")
    scope = Scope.of(current_context() or ExecutionContext())
    hits = await services[0].find(query, scope=scope, limit=max(1, min(limit, MOST)))
    return [described(hit) for hit in hits]
