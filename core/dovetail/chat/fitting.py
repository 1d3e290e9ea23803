"""The messages a provider is sent: the session's history, fitted to the model's window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from dovetail.chat.messages import ChatMessage, MessageRole, TextPart
from dovetail.chat.providers import ChatProvider, overrides
from dovetail.chat.requests import ChatRequest
from dovetail.errors import ContextTooLong, DovetailError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dovetail.host.options import ChatOptions
    from dovetail.middleware import TurnCall
    from dovetail.sessions.session import Session

    Condense = Callable[[Session, ChatRequest], Awaitable[str]]

log = structlog.get_logger("dovetail")

SUMMARY_KEY = "dovetail.summary"
"""Where a session's state keeps the summary: its text, and how many messages it stands for."""
SUMMARY_TOKENS = 256
IMAGE_TOKENS = 800
"""What an image is taken to cost where the provider cannot count."""


async def assemble(
    call: TurnCall,
    new: tuple[ChatMessage, ...],
    model: str,
    provider: ChatProvider,
    options: ChatOptions,
    condense: Condense,
) -> ChatRequest:
    """The request for `provider`: system messages, as much history as fits, then `new`.

    Raises:
        InvalidRequest: there is nothing new to answer.
        ContextTooLong: it does not fit, and the config says to refuse then.
    """
    request, session = call.request, call.session
    if not new:
        what = "every message is in the session already" if request.messages else "no messages"
        message = f"there is nothing to answer: {what}"
        raise InvalidRequest(message)
    if session is None:
        return request if request.model == model else request.model_copy(update={"model": model})
    system: tuple[ChatMessage, ...] = ()
    if len(new) < len(request.messages):
        system = tuple(m for m in request.messages if m.role is MessageRole.SYSTEM)
    history = _from_a_question(session)
    knows = options.context_window or overrides(provider, ChatProvider, "context_window")
    if history and knows:
        fitting = _Fitting(request, system, new, model, provider, options)
        if await fitting.limit():
            return await fitting.fit(session, condense)
    return request.changed(messages=(*system, *history, *new), model=model)


def _from_a_question(session: Session) -> Sequence[ChatMessage]:
    """The history; from its first question if it is a tail, which may begin in mid-turn."""
    history = session.history
    if session.message_count == len(history) or not history:
        return history
    starts = (place for place, m in enumerate(history) if m.role is MessageRole.USER)
    return history[next(starts, len(history)) :]


class _Fitting:
    """One request's history and the room there is for it."""

    def __init__(
        self,
        request: ChatRequest,
        system: tuple[ChatMessage, ...],
        new: tuple[ChatMessage, ...],
        model: str,
        provider: ChatProvider,
        options: ChatOptions,
    ) -> None:
        self.request = request
        self.system = system
        self.new = new
        self.model = model
        self.provider = provider
        self.options = options
        self.counts = overrides(provider, ChatProvider, "count_tokens")
        self.room = 0

    def build(self, history: Sequence[ChatMessage], summary: str = "") -> ChatRequest:
        """The request with this history."""
        said = (
            (ChatMessage.system(f"The conversation so far, in short: {summary}"),)
            if summary
            else ()
        )
        messages = (*self.system, *said, *history, *self.new)
        return self.request.model_copy(update={"messages": messages, "model": self.model})

    async def limit(self) -> int:
        """Tokens there are for the prompt; 0 if nobody knows."""
        window = self.options.context_window
        if overrides(self.provider, ChatProvider, "context_window"):
            window = await self.provider.context_window(self.model) or window
        if window is not None:
            answer = self.request.max_tokens or self.options.answer_tokens
            self.room = max(window - min(answer, window // 2), 1)
        return self.room

    async def size(self, request: ChatRequest) -> int:
        """Tokens a request takes, counted by the provider or estimated."""
        counted = await self.provider.count_tokens(request) if self.counts else None
        return counted if counted is not None else sum(map(_estimate, request.messages))

    async def fit(self, session: Session, condense: Condense) -> ChatRequest:
        """The request with as much of the session's history as there is room for."""
        summary, history = _summarised(session)
        whole = self.build(history, summary)
        needed = await self.size(whole)
        if needed <= self.room:
            return whole
        if self.options.history_fit == "refuse":
            message = (
                f"the conversation takes {needed} tokens and there is room for {self.room}; start "
                'a new session, or set `history_fit = "drop"` in [chat]'
            )
            raise ContextTooLong(message, model=self.model)
        if self.options.history_fit == "summarise":
            # Half of the room, so that not every turn from here on needs another summary.
            kept = await self._tail(history, summary, self.room // 2)
            summary = await self._summarise(session, history[: len(history) - len(kept)], condense)
            history = kept
        kept = await self._tail(history, summary, self.room)
        return self.build(kept, summary)

    async def _tail(
        self, history: Sequence[ChatMessage], summary: str, room: int
    ) -> Sequence[ChatMessage]:
        """The longest tail that fits and begins with a user's message."""
        starts = [i for i, m in enumerate(history) if m.role is MessageRole.USER] + [len(history)]
        low, high = 0, len(starts) - 1
        while low < high:
            middle = (low + high) // 2
            if await self.size(self.build(history[starts[middle] :], summary)) <= room:
                high = middle
            else:
                low = middle + 1
        return history[starts[low] :]

    async def _summarise(
        self, session: Session, dropped: Sequence[ChatMessage], condense: Condense
    ) -> str:
        """A summary of what is left out and of the summary before it; kept in the state."""
        before, _ = _summarised(session)
        if not dropped:
            return before
        lines = [before, *(f"{m.role}: {m.text}" for m in dropped)]
        text = "\n".join(filter(None, lines))[-self.room * 3 :]
        instruction = (
            "Summarise this conversation in a few sentences. Keep names, numbers, decisions and "
            "open questions."
        )
        request = ChatRequest(
            messages=(ChatMessage.user(f"{instruction}\n\n{text}"),), max_tokens=SUMMARY_TOKENS
        )
        try:
            summary = await condense(session, request)
        except DovetailError:
            log.warning("the history was shortened without a summary", exc_info=True)
            return before
        first = session.message_count - len(session.history)
        through = max(_through(session), first) + len(dropped)
        session.state[SUMMARY_KEY] = {"text": summary, "through": through}
        return summary


def _summarised(session: Session) -> tuple[str, Sequence[ChatMessage]]:
    """The summary in the session's state, and the history it does not stand for."""
    known = session.state.get(SUMMARY_KEY)
    if not isinstance(known, dict):
        return "", session.history
    first = session.message_count - len(session.history)
    return str(known.get("text", "")), session.history[max(_through(session) - first, 0) :]


def _through(session: Session) -> int:
    known = session.state.get(SUMMARY_KEY)
    return int(known.get("through", 0)) if isinstance(known, dict) else 0


def _estimate(message: ChatMessage) -> int:
    """About four bytes a token, and a few for the role: what most tokenizers do to English."""
    if isinstance(message.content, str):
        parts = len(message.content.encode()) // 4
    else:
        parts = sum(
            len(p.text.encode()) // 4 if isinstance(p, TextPart) else IMAGE_TOKENS
            for p in message.content
        )
    calls = sum(len(call.arguments.encode()) // 4 + 8 for call in message.tool_calls)
    return parts + calls + 4
