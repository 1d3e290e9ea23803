"""A plugin that takes its time to import, in the contract's own process only."""

import sys
import time
from collections.abc import AsyncIterator

from dovetail import ChatProvider, ChatRequest, ExecutionContext, StreamingChunk, hookimpl

if "pytest" not in sys.modules:
    # What the contract has just measured as the kernel's own time: `base` of its program.
    time.sleep(4 * sys.modules["__main__"].base)


class Slow(ChatProvider):
    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        yield StreamingChunk(text=f"hello {request.messages[-1].text}")


@hookimpl
def providers() -> list[type[ChatProvider]]:
    return [Slow]
