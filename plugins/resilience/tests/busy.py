"""A model that takes its time, and a limit on it."""

import asyncio
from collections.abc import AsyncIterator

from dovetail import (
    ChatRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    ExecutionContext,
    StreamingChunk,
)
from dovetail_resilience.window import MINUTE
from plugins.resilience.tests.asking import Model
from plugins.resilience.tests.virtual_time import loop


class Busy(Model):
    """Takes a second for everything, and notes how many it served at once, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.began: list[float] = []

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        self._begin()
        try:
            async for chunk in super().send_message_stream(request, context):
                yield chunk
                await asyncio.sleep(0.5)
        finally:
            self.now -= 1

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        self._begin()
        try:
            await asyncio.sleep(1)
            return await super().embed(request, context)
        finally:
            self.now -= 1

    def _begin(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.began.append(loop().time())

    def most_in_a_minute(self) -> int:
        return max(sum(t <= u < t + MINUTE for u in self.began) for t in self.began)


def only(**limits: object) -> list[dict[str, object]]:
    return [{"instance": "main", "wait": "1h", **limits}]
