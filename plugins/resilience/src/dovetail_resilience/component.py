"""The middleware: every model and embedding call takes its course through it."""

from collections.abc import Awaitable, Callable

from dovetail import (
    Answer,
    ChatCall,
    EmbedCall,
    EmbeddingResponse,
    Middleware,
    Suggestion,
)
from dovetail_resilience.course import Rules
from dovetail_resilience.courses import ChatCourse, EmbedCourse
from dovetail_resilience.gate import Gate
from dovetail_resilience.hold import Hold
from dovetail_resilience.limit import Limit
from dovetail_resilience.settings import ResilienceSettings

MOST_GATES = 1000
"""Instances remembered at once. Config names far fewer; a middleware further out may make names
up."""


class Resilience(Middleware):
    """Retries what may pass, asks other models where one cannot answer, and keeps limits."""

    settings: ResilienceSettings

    async def start(self) -> None:
        """Begin with every circuit closed and nothing counted."""
        self._gates: dict[str, Gate] = {}
        self._limits = [Limit(limit) for limit in self.settings.limits]
        self._rules = Rules(self.settings, Hold(self.settings.hold), self._gate)

    @classmethod
    def suggestion(cls) -> Suggestion:
        """As it is by default, within `logging`, whose line is about the whole of a call."""
        return Suggestion(
            rank=20,
            comment="Tries a model call again if it may pass; `fallback` names other models.",
        )

    async def chat(
        self, call: ChatCall, call_next: Callable[[ChatCall], Awaitable[Answer]]
    ) -> Answer:
        """Have a model answer, one way or the other."""
        return await ChatCourse(self._rules, self.settings.fallback, call, call_next).run()

    async def embed(
        self, call: EmbedCall, call_next: Callable[[EmbedCall], Awaitable[EmbeddingResponse]]
    ) -> EmbeddingResponse:
        """Have vectors made, one way or the other."""
        fallback = self.settings.embedding_fallback
        return await EmbedCourse(self._rules, fallback, call, call_next).run()

    def _gate(self, instance: str) -> Gate:
        gate = self._gates.get(instance)
        if gate is None:
            if len(self._gates) >= MOST_GATES:
                del self._gates[next(iter(self._gates))]
            gate = Gate(instance, self.settings.breaker, self._limits)
            self._gates[instance] = gate
        return gate
