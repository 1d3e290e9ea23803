"""Making contexts, finding them again, and saying which is the current one."""

from __future__ import annotations

from contextvars import copy_context
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from dovetail.context import ExecutionContext, current_context, use_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

P = ParamSpec("P")
R = TypeVar("R")


class ContextManager:
    """Manages execution contexts.

    The current context belongs to the running task or thread, not to the manager: two tasks that
    use one manager never see each other's. A context can be found by its id for as long as
    somebody holds it; the manager does not keep it alive.
    """

    def __init__(self) -> None:
        self.contexts: WeakValueDictionary[str, ExecutionContext] = WeakValueDictionary()
        """By id; only what is still in use."""

    def create_context(self, agent_id: str | None = None, **fields: Any) -> ExecutionContext:
        """A new context, a child of the current one if there is one.

        `fields` are those of `ExecutionContext`.
        """
        outer = current_context()
        if agent_id is not None:
            fields["agent_id"] = agent_id
        context = outer.create_child_context(**fields) if outer else ExecutionContext(**fields)
        self.contexts[context.context_id] = context
        return context

    def get_context(self, context_id: str) -> ExecutionContext | None:
        """A context that this manager made and that is still in use."""
        return self.contexts.get(context_id)

    def get_current_context(self) -> ExecutionContext | None:
        """The context of the running task or thread."""
        return current_context()

    @property
    def active_context(self) -> str | None:
        """The id of the current context."""
        context = current_context()
        return context.context_id if context is not None else None

    def activate(self, context: ExecutionContext) -> AbstractContextManager[ExecutionContext]:
        """Make it the current one for the body of a `with`, in this task or thread alone."""
        return use_context(context)

    def bind(self, function: Callable[P, R]) -> Callable[P, R]:
        """`function`, run in what is the current context now, whichever thread calls it.

        For threads that a program starts itself; tasks and `asyncio.to_thread` need no help.
        """
        frozen = copy_context()

        @wraps(function)
        def bound(*args: P.args, **kwargs: P.kwargs) -> R:
            # A copy for each call: one context cannot be entered by two threads at once.
            return frozen.copy().run(function, *args, **kwargs)

        return bound
