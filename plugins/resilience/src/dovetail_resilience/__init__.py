"""Retries, fallback models, circuit breakers and limits around every model and embedding call.

It is the one owner of retries: providers say what may be tried again, and never do so themselves.
"""

from dovetail import Middleware, hookimpl
from dovetail_resilience.component import Resilience as Resilience
from dovetail_resilience.settings import BreakerSettings as BreakerSettings
from dovetail_resilience.settings import LimitSettings as LimitSettings
from dovetail_resilience.settings import ResilienceSettings as ResilienceSettings

__version__ = "0.1.0"


@hookimpl
def middleware() -> list[type[Middleware]]:
    """The one middleware of this plugin."""
    return [Resilience]
