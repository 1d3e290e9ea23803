"""Middleware: what wraps a turn and every model call in it.

A middleware overrides the operations it cares about; the others do not have it in their chain and
cost nothing. `await call_next(call)` gives an `Answer` when the answer is complete or its first
chunk is there, so whatever it raises came before the first chunk and may be tried again.

For the simple case there are `pre_execute` and `post_execute` (around every provider call), and
`before_turn`, `after_turn`, `before_chat`, `after_chat`, `before_embed`, `after_embed`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from dovetail.component import Component
from dovetail.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from dovetail.chat.answer import Answer, End
    from dovetail.chat.requests import ChatRequest, EmbeddingRequest
    from dovetail.chat.responses import ChatResponse, EmbeddingResponse
    from dovetail.context import ExecutionContext
    from dovetail.events.event import Event
    from dovetail.pipeline.stage import Stage
    from dovetail.pipeline.turn import Turn
    from dovetail.sessions.session import Session

    Step = Callable[[Any], Awaitable[Any]]

CallT = TypeVar("CallT")
ResultT = TypeVar("ResultT")


@dataclass(slots=True)
class TurnCall:
    """A whole turn: what the host asked, before history is added. Fields may be replaced."""

    request: ChatRequest
    context: ExecutionContext
    session: Session | None
    stream: bool
    """Whether the host reads chunks."""
    ask: Callable[[TurnCall], Awaitable[Answer]] = field(repr=False)
    """The turn itself, innermost; call `call_next`, not this."""
    operation: ClassVar[str] = "turn"


@dataclass(slots=True)
class ChatCall:
    """One model call. Fields may be replaced: another `provider` answers instead."""

    request: ChatRequest
    """What the provider gets; `request.model` is without the instance."""
    context: ExecutionContext
    provider: str
    """The instance's name."""
    stream: bool
    """Whether chunks are wanted; the answer may have them either way."""
    session: Session | None = None
    operation: ClassVar[str] = "chat"


@dataclass(slots=True)
class EmbedCall:
    """One embedding call. Fields may be replaced."""

    request: EmbeddingRequest
    context: ExecutionContext
    provider: str
    """The instance's name."""
    operation: ClassVar[str] = "embed"


@dataclass(slots=True)
class StageCall:
    """One stage of a turn, with all that works in it."""

    stage: Stage
    turn: Turn
    """What the stage works on."""
    context: ExecutionContext
    operation: ClassVar[str] = "stage"


@dataclass(slots=True)
class EventCall:
    """The delivery of one event to one provider. Fields may be replaced."""

    event: Event
    provider: str
    """The name of the event provider's instance."""
    context: ExecutionContext | None = None
    """Of the work that the event tells of; None if it is of none."""
    operation: ClassVar[str] = "event"


class Middleware(Component):
    """Wraps operations. Override those that matter, and nothing else."""

    async def turn(
        self, call: TurnCall, call_next: Callable[[TurnCall], Awaitable[Answer]]
    ) -> Answer:
        """Around a whole turn."""
        return await call_next(call)

    async def chat(
        self, call: ChatCall, call_next: Callable[[ChatCall], Awaitable[Answer]]
    ) -> Answer:
        """Around one model call; may be called several times in a turn."""
        return await call_next(call)

    async def embed(
        self, call: EmbedCall, call_next: Callable[[EmbedCall], Awaitable[EmbeddingResponse]]
    ) -> EmbeddingResponse:
        """Around one embedding call."""
        return await call_next(call)

    async def stage(
        self, call: StageCall, call_next: Callable[[StageCall], Awaitable[None]]
    ) -> None:
        """Around one stage in which anything works; without `call_next` nothing does."""
        await call_next(call)

    async def event(
        self, call: EventCall, call_next: Callable[[EventCall], Awaitable[None]]
    ) -> None:
        """Around the delivery of an event to one provider; without `call_next` it is not told."""
        await call_next(call)

    async def pre_execute(self, call: CallT) -> CallT | None:
        """Before every provider call (chat, embed, event): the call to make, or None for this."""

    async def post_execute(self, call: CallT, result: ResultT) -> ResultT | None:
        """After every provider call that succeeded: the result to use, or None for this one."""

    async def before_turn(self, call: TurnCall) -> TurnCall | None:
        """Before a turn: the call to make, or None for this one."""

    async def after_turn(self, call: TurnCall, response: ChatResponse) -> ChatResponse | None:
        """After a turn that succeeded: the response to use, or None for this one."""

    async def before_chat(self, call: ChatCall) -> ChatCall | None:
        """Before a model call: the call to make, or None for this one."""

    async def after_chat(self, call: ChatCall, response: ChatResponse) -> ChatResponse | None:
        """After a model call that succeeded: the response to use, or None for this one."""

    async def before_embed(self, call: EmbedCall) -> EmbedCall | None:
        """Before an embedding call: the call to make, or None for this one."""

    async def after_embed(
        self, call: EmbedCall, response: EmbeddingResponse
    ) -> EmbeddingResponse | None:
        """After an embedding call that succeeded: the response to use, or None for this one."""

    async def before_stage(self, call: StageCall) -> StageCall | None:
        """Before a stage: the call to make, or None for this one."""

    async def after_stage(self, call: StageCall, result: None) -> None:
        """After a stage that did not fail."""

    async def before_event(self, call: EventCall) -> EventCall | None:
        """Before an event's delivery: the delivery to make, or None for this one."""

    async def after_event(self, call: EventCall, result: None) -> None:
        """After an event's delivery that succeeded."""


OPERATIONS = ("turn", "chat", "embed", "stage", "event")
_PROVIDER_OPERATIONS = ("chat", "embed", "event")
_WITH_ANSWER = ("turn", "chat")
_SUGAR = (
    "pre_execute",
    "post_execute",
    *(f"{w}_{op}" for op in OPERATIONS for w in ("before", "after")),
)


def operations_of(cls: type[Middleware]) -> tuple[str, ...]:
    """The operations whose chain `cls` is in."""
    return tuple(op for op in OPERATIONS if any(_overridden(cls, name) for name in _names(op)))


def check_middleware(cls: type[Middleware]) -> None:
    """Refuse a class that would do nothing, or that wraps what the kernel does not call.

    Raises:
        PluginError: saying which method, and what there is.
    """
    for name, member in inspect.getmembers(cls, inspect.isfunction):
        looks = (
            name.startswith(("before_", "after_"))
            or "call_next" in inspect.signature(member).parameters
        )
        if looks and not name.startswith("_") and name not in (*OPERATIONS, *_SUGAR):
            message = (
                f"`{cls.__name__}.{name}` wraps an operation that this kernel does not call; "
                f"it calls {', '.join(OPERATIONS)}"
            )
            raise PluginError(message)
    if not operations_of(cls):
        message = (
            f"`{cls.__name__}` overrides no operation, so it would do nothing; "
            f"override one of {', '.join((*OPERATIONS, *_SUGAR))}"
        )
        raise PluginError(message)


def compose(middleware: Iterable[Middleware], operation: str, terminal: Step) -> Step:
    """One awaitable step: the middleware that has `operation`, in order, around `terminal`."""
    step = terminal
    for item in reversed(list(middleware)):
        if _overridden(type(item), operation):
            step = _bind(getattr(item, operation), step)
        step = _with_sugar(item, operation, step)
    return step


def _bind(link: Callable[[Any, Step], Awaitable[Any]], call_next: Step) -> Step:
    # A plain function: the coroutine of `link` is awaited directly, without a frame of its own.
    def step(call: Any) -> Awaitable[Any]:
        return link(call, call_next)

    return step


def _with_sugar(item: Middleware, operation: str, call_next: Step) -> Step:
    names = _names(operation)[1:]
    before = [
        getattr(item, n)
        for n in names
        if n.startswith(("before", "pre")) and _overridden(type(item), n)
    ]
    after = [
        getattr(item, n)
        for n in names
        if n.startswith(("after", "post")) and _overridden(type(item), n)
    ]
    if not before and not after:
        return call_next

    async def step(call: Any) -> Any:
        for change in before:
            changed = await change(call)
            call = call if changed is None else changed
        result = await call_next(call)
        for look in after:
            if operation in _WITH_ANSWER:
                result.on_end(_on_success(look, call))
            else:
                changed = await look(call, result)
                result = result if changed is None else changed
        return result

    return step


def _on_success(
    look: Callable[[Any, ChatResponse], Awaitable[ChatResponse | None]],
    call: TurnCall | ChatCall,
) -> Callable[[End], Awaitable[ChatResponse | None]]:
    async def callback(end: End) -> ChatResponse | None:
        return await look(call, end.response) if end.error is None else None

    return callback


def _names(operation: str) -> tuple[str, ...]:
    names = (operation, f"before_{operation}", f"after_{operation}")
    return (*names, "pre_execute", "post_execute") if operation in _PROVIDER_OPERATIONS else names


def _overridden(cls: type[Middleware], name: str) -> bool:
    return getattr(cls, name) is not getattr(Middleware, name)
