"""The middleware `vectorstore:sources`: answers end with the pages they had to go by.

A model may forget to name them, and may invent some.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from dovetail import FinishReason, Middleware, Settings
from dovetail_vectorstore.knowledge import PLACES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dovetail import Answer, StreamingChunk, TurnCall

ENDS = (FinishReason.STOP, FinishReason.LENGTH)
"""How an answer ends that a reader takes for one."""


LISTED = "knowledge_listed"
"""The context's property that holds what was written below the answer."""


class SourcesSettings(Settings):
    """What an operator may write beside `use = "vectorstore:sources"`."""

    heading: str = Field(default="Sources:", description="What stands above the list.")
    limit: int = Field(default=3, ge=1, description="How many pages are named at most.")


class Sources(Middleware):
    """Lists below an answer where the passages stand that `@knowledge` put into its prompt."""

    name = "sources"
    settings: SourcesSettings

    async def turn(
        self, call: TurnCall, call_next: Callable[[TurnCall], Awaitable[Answer]]
    ) -> Answer:
        """Add the list to the chunk that ends the answer."""
        answer = await call_next(call)
        places = list(dict.fromkeys(call.context.get_property(PLACES, ())))
        if places:
            listed = "\n- ".join((self.settings.heading, *places[: self.settings.limit]))
            text = f"\n\n{listed}"
            call.context.add_property(LISTED, text)

            def add(chunk: StreamingChunk) -> StreamingChunk:
                if chunk.finish_reason in ENDS and chunk.index == 0:
                    return replace(chunk, text=f"{chunk.text}{text}")
                return chunk

            answer.each(add)
        return answer
