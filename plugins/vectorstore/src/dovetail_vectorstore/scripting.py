"""What scripts can call: `search_knowledge`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail import ExecutionContext, ServiceRegistry, current_context
from dovetail_vectorstore.retrieval import Retrieval, described
from dovetail_vectorstore.scope import Scope

if TYPE_CHECKING:
    from dovetail import SmartDependencyContainer

MOST = 50


class KnowledgeOfScripts:
    """The documents of one kernel, for its scripts."""

    def __init__(self, container: SmartDependencyContainer) -> None:
        self._container = container

    async def search_knowledge(self, query: str, limit: int = 5) -> list[dict[str, Any]]:
        """The passages that fit `query` best: their text, source, place, score and metadata.

        It finds what the script's turn may find: its user's and what is shared. At most 50.

        Raises:
            ServiceNotFound: the kernel runs without a vector store.
        """
        retrieval: Retrieval = self._container.resolve(ServiceRegistry).get("retrieval")
        scope = Scope.of(current_context() or ExecutionContext())
        hits = await retrieval.find(query, scope=scope, limit=max(1, min(limit, MOST)))
        return [described(hit) for hit in hits]
