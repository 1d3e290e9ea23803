"""What is known of the work in progress, handed along with every call.

A host may make an `ExecutionContext` and pass it to the kernel; otherwise the kernel makes one for
each request. `current_context()` gives the one of the running task.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dovetail.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_current: ContextVar[ExecutionContext | None] = ContextVar("dovetail_context", default=None)


class ExecutionContext:
    """Ids, properties and records of one piece of work.

    Ids are UUIDs, made when first asked for. `start_time` and `end_time` are aware UTC datetimes;
    durations are measured on a monotonic clock.
    """

    __slots__ = (
        "_context_id",
        "_ended",
        "_request_id",
        "_started",
        "agent_id",
        "ai_metadata",
        "end_time",
        "events",
        "history",
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
        self.parent_context_id = parent_context_id
        self.user_id = user_id
        self.session_id = session_id
        self.agent_id = agent_id
        self.tool_name = tool_name
        self.start_time = datetime.now(UTC)
        self.end_time: datetime | None = None
        self.properties: dict[str, Any] = dict(properties) if properties else {}
        self.metadata: dict[str, Any] = dict(metadata) if metadata else {}
        self.state: dict[str, Any] = dict(state) if state else {}
        self.ai_metadata: dict[str, Any] = dict(ai_metadata) if ai_metadata else {}
        self.tags: list[str] = list(tags)
        self.security_context: dict[str, Any] | None = (
            dict(security_context) if security_context is not None else None
        )
        self.events: list[dict[str, Any]] = []
        self.metrics: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []

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

    def create_child_context(self, **fields: Any) -> ExecutionContext:
        """A context for work inside this one: same request, user, session and agent.

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
        return ExecutionContext(**{**defaults, **fields, "properties": properties})

    def complete(self) -> None:
        """Note the end; the first call counts."""
        if self._ended is None:
            self._ended = time.monotonic()
            self.end_time = datetime.now(UTC)

    def duration(self) -> float:
        """Seconds from the start to the end, or to now."""
        return (self._ended if self._ended is not None else time.monotonic()) - self._started


def current_context() -> ExecutionContext | None:
    """The context of the running task; None outside a turn."""
    return _current.get()


def set_current_context(context: ExecutionContext | None) -> None:
    """Make `context` the current one of this task and of tasks it starts."""
    _current.set(context)
