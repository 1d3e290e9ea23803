"""Streams that are read to their end."""

from typing import Any

from dovetail import ChatResponse, Kernel


async def read(kernel: Kernel, prompt: str = "What is a dovetail?", **options: Any) -> ChatResponse:
    async with kernel.stream(prompt, **options) as stream:
        async for _ in stream:
            pass
    return stream.response
