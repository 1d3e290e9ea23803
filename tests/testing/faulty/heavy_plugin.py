"""A plugin that imports what it may not."""

from collections.abc import AsyncIterator

import bulky_library  # type: ignore[import-not-found]  # noqa: F401 - it is found where it runs

from dovetail import ChatProvider, ChatRequest, ExecutionContext, StreamingChunk, hookimpl


class Heavy(ChatProvider):
    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        yield StreamingChunk(text=f"hello {request.messages[-1].text}")


@hookimpl
def providers() -> list[type[ChatProvider]]:
    return [Heavy]
