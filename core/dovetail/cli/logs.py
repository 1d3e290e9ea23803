"""The kernel's log while a command runs: warnings and worse, a plain line each, on stderr."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

from dovetail.redaction import redact

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from dovetail.cli.state import State


def _is_news(record: logging.LogRecord) -> bool:
    """Whether asyncio tells more than that a run goes on which the kernel has given up.

    At the end it says so of each generator of such a run; the kernel has said it before.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, RuntimeError) and "is already running" in str(error))


def configure_logs(state: State) -> None:
    """Send what is logged from now on to stderr; the config's secrets are masked as they come."""

    def line(_logger: object, method: str, fields: MutableMapping[str, Any]) -> str:
        event = fields.pop("event", "")
        details = ", ".join(f"{name}: {value}" for name, value in fields.items())
        text = f"{event} ({details})" if details else str(event)
        return redact(f"dovetail: {method}: {text}", state.secrets)

    logging.getLogger("asyncio").addFilter(_is_news)
    structlog.configure(
        processors=[line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
