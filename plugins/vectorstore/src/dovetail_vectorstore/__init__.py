"""Documents by meaning: a vector store, ingestion and retrieval, for dovetail."""

from typing import Any

from dovetail import (
    ContextAwareService,
    EventProvider,
    Middleware,
    SmartDependencyContainer,
    StageExecutor,
    hookimpl,
)
from dovetail_vectorstore.backend import MadeWith as MadeWith
from dovetail_vectorstore.backend import VectorBackend as VectorBackend
from dovetail_vectorstore.backend import Where as Where
from dovetail_vectorstore.ingested import Failed as Failed
from dovetail_vectorstore.ingested import Ingested as Ingested
from dovetail_vectorstore.ingestion import Ingestion as Ingestion
from dovetail_vectorstore.ingestion_settings import IngestionSettings as IngestionSettings
from dovetail_vectorstore.items import Added as Added
from dovetail_vectorstore.items import Collection as Collection
from dovetail_vectorstore.items import Hit as Hit
from dovetail_vectorstore.items import Item as Item
from dovetail_vectorstore.items import Stored as Stored
from dovetail_vectorstore.knowledge import MODULE, Knowledge, KnowledgeOfModels
from dovetail_vectorstore.provider import VectorStoreProvider as VectorStoreProvider
from dovetail_vectorstore.retrieval import Retrieval as Retrieval
from dovetail_vectorstore.retrieval_settings import RetrievalSettings as RetrievalSettings
from dovetail_vectorstore.scope import Scope as Scope
from dovetail_vectorstore.scripting import KnowledgeOfScripts
from dovetail_vectorstore.settings import VectorStoreSettings as VectorStoreSettings
from dovetail_vectorstore.sources import Sources
from dovetail_vectorstore.store import VectorStore as VectorStore
from dovetail_vectorstore.store import open_store as open_store

__version__ = "0.1.0"


@hookimpl
def services() -> list[type[ContextAwareService]]:
    """The vector store, and what works on it."""
    return [VectorStore, Ingestion, Retrieval]


@hookimpl
def providers() -> list[type[EventProvider]]:
    """Who keeps what turns gave, and documents that others tell of."""
    return [VectorStoreProvider]


@hookimpl
def middleware() -> list[type[Middleware]]:
    """Who names the pages below an answer."""
    return [Sources]


@hookimpl
def stage_executors() -> list[type[StageExecutor]]:
    """Who puts what was found in the place of `@knowledge`."""
    return [Knowledge, KnowledgeOfModels]


@hookimpl(optionalhook=True)
def modules() -> list[dict[str, Any]]:
    """The module `knowledge`, for plugin `modules`."""
    return [dict(MODULE)]


@hookimpl(optionalhook=True)
def script_functions(container: SmartDependencyContainer) -> list[Any]:
    """`search_knowledge`, for plugin `scripts`."""
    return [KnowledgeOfScripts(container).search_knowledge]
