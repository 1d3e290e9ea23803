"""Nothing is wrong with it but what its distributions say."""

from collections.abc import AsyncIterator

from dovetail import ChatProvider, ChatRequest, ExecutionContext, StreamingChunk, hookimpl


class Light(ChatProvider):
    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        yield StreamingChunk(text=f"hello {request.messages[-1].text}")


@hookimpl
def providers() -> list[type[ChatProvider]]:
    return [Light]
