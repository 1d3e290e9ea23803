"""What is known of the work in progress, handed along with every call.

A host may make an `ExecutionContext` and pass it to the kernel; otherwise the kernel makes one for
each request. `current_context()` gives the one of the running task or thread.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dovetail.ids import new_id
from dovetail.tracing import Trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping

MOST_RECORDS = 1000
"""How many of the latest tags, `events` and `history` records a context keeps."""

_current: ContextVar[ExecutionContext | None] = ContextVar("dovetail_context", default=None)


class ExecutionContext:
    """Ids, properties and records of one piece of work.

    Ids are UUIDs, made when first asked for. `start_time` and `end_time` are aware UTC datetimes;
    durations are measured on a monotonic clock. `events`, `history` and `tags` keep the latest
    `MOST_RECORDS`.
    """

    __slots__ = (
        "__weakref__",
        "_attached",
        "_context_id",
        "_ended",
        "_events",
        "_history",
        "_request_id",
        "_started",
        "_trace",
        "agent_id",
        "ai_metadata",
        "end_time",
        "metadata",
        "metrics",
        "parent_context_id",
        "properties",
        "security_context",
        "session_id",
        "start_time",
        "state",
        "tags",
        "tool_name",
        "user_id",
    )

    def __init__(  # noqa: PLR0913 - the fields of the context, all optional
        self,
        *,
        context_id: str | None = None,
        parent_context_id: str | None = None,
        request_id: str | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        agent_id: str | None = None,
        tool_name: str | None = None,
        properties: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
        ai_metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        security_context: Mapping[str, Any] | None = None,
    ) -> None:
        self._context_id = context_id
        self._request_id = request_id
        self._started = time.monotonic()
        self._ended: float | None = None
        self._events: deque[dict[str, Any]] | None = None
        self._history: deque[dict[str, Any]] | None = None
        self._attached: dict[object, Any] | None = None
        self._trace: Trace | None = None
        self.parent_context_id = parent_context_id
        """The context this is part of; in another process, its span id (16 hex digits)."""
        self.user_id = user_id
        self.session_id = session_id
        self.agent_id = agent_id
        self.tool_name = tool_name
        self.start_time = datetime.now(UTC)
        self.end_time: datetime | None = None
        self.properties: dict[str, Any] = dict(properties) if properties else {}
        """What influences behaviour; children get those named `inherited_…`."""
        self.metadata: dict[str, Any] = dict(metadata) if metadata else {}
        """What is known about the work; forks get a copy."""
        self.state: dict[str, Any] = dict(state) if state else {}
        self.ai_metadata: dict[str, Any] = dict(ai_metadata) if ai_metadata else {}
        self.tags: list[str] = list(dict.fromkeys(tags))[-MOST_RECORDS:] if tags else []
        self.security_context: dict[str, Any] | None = (
            dict(security_context) if security_context is not None else None
        )
        self.metrics: dict[str, Any] = {}

    @property
    def context_id(self) -> str:
        """The id of this context."""
        if self._context_id is None:
            self._context_id = new_id()
        return self._context_id

    @property
    def parent_id(self) -> str | None:
        """Another name of `parent_context_id`."""
        return self.parent_context_id

    @property
    def request_id(self) -> str:
        """The id of the request a host was asked; children share it."""
        if self._request_id is None:
            self._request_id = new_id()
        return self._request_id

    @property
    def has_request_id(self) -> bool:
        """Whether somebody gave or asked for the request's id."""
        return self._request_id is not None

    @property
    def events(self) -> deque[dict[str, Any]]:
        """What `track_event` noted: `timestamp` (aware UTC), `event_type` and `data`."""
        if self._events is None:
            self._events = deque(maxlen=MOST_RECORDS)
        return self._events

    @property
    def history(self) -> deque[dict[str, Any]]:
        """Records of what was done before, for decisions that depend on it."""
        if self._history is None:
            self._history = deque(maxlen=MOST_RECORDS)
        return self._history

    @property
    def attached(self) -> dict[object, Any]:
        """What others keep for this context and no longer than it; a key is its owner's object."""
        if self._attached is None:
            self._attached = {}
        return self._attached

    @property
    def has_attached(self) -> bool:
        """Whether anything is kept for it."""
        return bool(self._attached)

    def track_event(self, event_type: str, data: Mapping[str, Any] | None = None) -> None:
        """Note that something happened, now."""
        self.events.append(
            {
                "timestamp": datetime.now(UTC),
                "event_type": event_type,
                "data": dict(data) if data else {},
            }
        )

    def add_property(self, key: str, value: Any) -> None:
        """Set a property."""
        self.properties[key] = value

    def get_property(self, key: str, default: Any = None) -> Any:
        """A property's value, or `default`."""
        return self.properties.get(key, default)

    def has_property(self, key: str) -> bool:
        """Whether there is such a property."""
        return key in self.properties

    def add_tag(self, tag: str) -> None:
        """Tag it, once."""
        if tag not in self.tags:
            self.tags.append(tag)
            del self.tags[:-MOST_RECORDS]

    def has_tag(self, tag: str) -> bool:
        """Whether it is tagged so."""
        return tag in self.tags

    def create_child_context(self, **fields: Any) -> ExecutionContext:
        """A context for work inside this one: same request, trace, user, session and agent.

        `fields` are the constructor's and win. Properties named `inherited_…` are passed on.
        """
        inherited = {k: v for k, v in self.properties.items() if k.startswith("inherited_")}
        defaults: dict[str, Any] = {
            "parent_context_id": self.context_id,
            "request_id": self.request_id,
            "user_id": self.user_id,
            "session_id": self.session_id,
            "agent_id": self.agent_id,
            "security_context": self.security_context,
        }
        properties = inherited | dict(fields.pop("properties", None) or {})
        child = ExecutionContext(**{**defaults, **fields, "properties": properties})
        if child.request_id == self.request_id:
            child._trace = self._trace
        return child

    def fork(self, new_agent_id: str) -> ExecutionContext:
        """A child for another agent, with a copy of the metadata."""
        return self.create_child_context(agent_id=new_agent_id, metadata=self.metadata)

    def complete(self) -> None:
        """Note the end; the first call counts."""
        if self._ended is None:
            self._ended = time.monotonic()
            self.end_time = datetime.now(UTC)

    def duration(self) -> float:
        """Seconds from the start to the end, or to now."""
        return (self._ended if self._ended is not None else time.monotonic()) - self._started

    @property
    def traceparent(self) -> str:
        """This context as the parent of work elsewhere: a W3C `traceparent` header's value.

        The trace is the request, the span is the context.
        """
        if self._trace is None:
            self._trace = Trace.of_request(self.request_id)
        return self._trace.header(self.context_id)

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Write `traceparent`, and `tracestate` if there is one, into headers that go out."""
        headers["traceparent"] = self.traceparent
        if self._trace is not None and self._trace.state:
            headers["tracestate"] = self._trace.state

    @classmethod
    def extract(cls, headers: Mapping[str, str], **fields: Any) -> ExecutionContext:
        """A context for work that was asked for elsewhere, from headers that came in.

        `fields` are the constructor's. Without a valid `traceparent` the trace begins here, as the
        W3C recommendation demands.
        """
        found = Trace.read(headers)
        if found is None:
            return cls(**fields)
        trace, span = found
        context = cls(**{"request_id": trace.request_id, "parent_context_id": span, **fields})
        if context.request_id == trace.request_id:
            context._trace = trace
        return context

    def to_dict(self) -> dict[str, Any]:
        """What may be shown, as JSON has it; how many events there are, not which.

        In `properties` and `metadata` what JSON does not have is named by its type.
        """
        return {
            "context_id": self.context_id,
            "parent_context_id": self.parent_context_id,
            "request_id": self.request_id,
            "user_id": self.user_id,
            "session_id": self.session_id,
            "agent_id": self.agent_id,
            "tool_name": self.tool_name,
            "start_time": self.start_time.isoformat(),
            "end_time": self.end_time.isoformat() if self.end_time else None,
            "duration": self.duration(),
            "properties": _as_json(self.properties),
            "metadata": _as_json(self.metadata),
            "tags": list(self.tags),
            "events_count": len(self._events or ()),
        }


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    if not values:
        return {}
    from pydantic_core import to_jsonable_python

    def named(value: object) -> str:
        return f"<{type(value).__name__}>"

    shown: dict[str, Any] = to_jsonable_python(
        values, bytes_mode="base64", inf_nan_mode="null", fallback=named
    )
    return shown


def current_context() -> ExecutionContext | None:
    """The context of the running task or thread; None outside of any."""
    return _current.get()


def set_current_context(context: ExecutionContext | None) -> None:
    """Make `context` the current one of this task and of tasks it starts."""
    _current.set(context)


@contextmanager
def use_context(context: ExecutionContext) -> Iterator[ExecutionContext]:
    """Make `context` the current one of this task or thread for the body of the `with`."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
