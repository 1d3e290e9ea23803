"""The plugin's own structlog logger: from fields to a line."""

import json
import os
from typing import Any, Literal, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from dovetail_logging.sinks import Sink

Format = Literal["auto", "json", "colour", "plain"]

# Made once: `json.dumps` with an option makes an encoder for each call. ASCII only, so that no
# character of a foreign text does anything to a terminal or is taken for the end of the line.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=repr).encode


class LineLogger(structlog.BoundLoggerBase):
    """A structlog logger that is given all fields, time and level too, as a dict it may keep.

    The usual methods (`info(event, **fields)`) copy the fields three times, which is a third of
    what a line costs.
    """

    def write(self, fields: dict[str, Any]) -> None:
        """Write one line."""
        line: Any = fields
        for process in self._processors:
            line = process(self._logger, "write", line)
        self._logger.put(line)


def make_logger(sink: Sink, look: Format) -> LineLogger:
    """A logger whose lines go to `sink`."""
    logger = structlog.wrap_logger(
        sink, processors=_renderers(look, sink), wrapper_class=LineLogger
    )
    return cast("LineLogger", logger.bind())


def _renderers(look: Format, sink: Sink) -> list[Processor]:
    if look == "auto" and sink.isatty():
        look = "plain" if os.environ.get("NO_COLOR") else "colour"
    if look in {"auto", "json"}:
        return [_json]
    # The first argument, the width of the event, has two names in the versions we work with.
    console = structlog.dev.ConsoleRenderer(
        0, colors=look == "colour", sort_keys=False, pad_level=False
    )
    return [_printable, console]


def _json(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    return _encode(fields)


class _Quoted:
    """A text that the console shows in quotes, with everything escaped that cannot be printed."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)


def _printable(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Quote what could move a terminal's cursor or look like a line of its own."""
    for name, value in fields.items():
        if isinstance(value, str) and not value.isprintable():
            fields[name] = _Quoted(value)
    return fields
