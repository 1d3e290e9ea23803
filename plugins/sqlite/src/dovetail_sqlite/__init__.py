"""Sessions in one SQLite file, for a host with no server."""

from dovetail import ContextAwareService, SessionStore, hookimpl
from dovetail_sqlite.database import Database as Database
from dovetail_sqlite.modules import SqliteModules as SqliteModules
from dovetail_sqlite.settings import SqliteSettings as SqliteSettings
from dovetail_sqlite.store import SqliteSessions as SqliteSessions

__version__ = "0.1.0"


@hookimpl
def session_stores() -> list[type[SessionStore]]:
    """The one store of this plugin."""
    return [SqliteSessions]


@hookimpl
def services() -> list[type[ContextAwareService]]:
    """What plugin `modules` can keep modules in."""
    return [SqliteModules]
