"""A structured log line for each model call: who asked which model, how long it took, how it ended.

The logger is the plugin's own: structlog's global configuration, which is the host's, is neither
used nor changed.
"""

from dovetail import Middleware, hookimpl
from dovetail_logging.component import Logging as Logging
from dovetail_logging.settings import LoggingSettings as LoggingSettings

__version__ = "0.1.0"


@hookimpl
def middleware() -> list[type[Middleware]]:
    """The one middleware of this plugin."""
    return [Logging]
