"""Sessions, modules and vectors in PostgreSQL, for dovetail."""

from importlib.util import find_spec

from dovetail import ContextAwareService, SessionStore, hookimpl
from dovetail_postgres.modules import PostgresModules as PostgresModules
from dovetail_postgres.pool import PostgresPool as PostgresPool
from dovetail_postgres.settings import PostgresSettings as PostgresSettings
from dovetail_postgres.store import PostgresSessionStore as PostgresSessionStore

__version__ = "0.1.0"


@hookimpl
def session_stores() -> list[type[SessionStore]]:
    """The one store of this plugin."""
    return [PostgresSessionStore]


@hookimpl
def services() -> list[type[ContextAwareService]]:
    """What plugin `modules` keeps modules in, and plugin `vectorstore`, if it is there, vectors."""
    if find_spec("dovetail_vectorstore") is None:
        return [PostgresModules]
    # not above: only who has plugin `vectorstore` can import it, and only here it is needed
    from dovetail_postgres.vectors import PostgresVectors

    return [PostgresModules, PostgresVectors]
