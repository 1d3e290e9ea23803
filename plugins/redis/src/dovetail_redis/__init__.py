"""Sessions in Redis, for dovetail: kept by one server or a cluster, shared by many processes."""

from dovetail import SessionStore, hookimpl
from dovetail_redis.settings import RedisSettings as RedisSettings
from dovetail_redis.store import RedisSessionStore as RedisSessionStore

__version__ = "0.1.0"


@hookimpl
def session_stores() -> list[type[SessionStore]]:
    """The one store of this plugin."""
    return [RedisSessionStore]
