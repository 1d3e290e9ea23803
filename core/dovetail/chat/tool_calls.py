"""From the pieces of tool calls to the calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from dovetail.chat.messages import ToolCall
from dovetail.chat.texts import joined
from dovetail.errors import InvalidResponse
from dovetail.ids import new_id

if TYPE_CHECKING:
    from dovetail.chat.chunks import ToolCallDelta


class OpenCalls:
    """The calls of one answer, in the order in which they were opened.

    A piece belongs to the call of its id, else of its index, else to the last one. Servers repeat
    index 0, leave out the index, or leave out the id; so a new id opens a new call, and so does a
    name without an id where the call it would belong to is complete or has another name.
    """

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: list[_OpenCall] = []

    def add(self, delta: ToolCallDelta) -> None:
        """Take in the next piece."""
        call = self._find(delta)
        if call is None:
            call = _OpenCall(delta.id, delta.index)
            self._calls.append(call)
        if delta.name and not call.name:
            call.name = delta.name
        if delta.arguments:
            call.arguments.append(delta.arguments)
        if delta.extras:
            call.extras.update(delta.extras)

    def done(self) -> tuple[ToolCall, ...]:
        """The calls as they are now.

        Raises:
            InvalidResponse: one has no name.
        """
        return tuple([call.done() for call in self._calls])

    def _find(self, delta: ToolCallDelta) -> _OpenCall | None:
        calls, id_, index = self._calls, delta.id, delta.index
        if id_:
            for call in calls:
                if call.id == id_:
                    return call
        if index is not None:
            call_there = next((call for call in reversed(calls) if call.index == index), None)
        else:
            call_there = calls[-1] if calls else None
        if call_there is None or (delta.name and call_there.closed_to(delta.name)):
            return None
        if id_:
            # The server may tell the id of a call after its beginning, but only once.
            if call_there.id:
                return None
            call_there.id = id_
        return call_there


class _OpenCall:
    __slots__ = ("arguments", "extras", "id", "index", "name")

    def __init__(self, id_: str, index: int | None) -> None:
        self.id = id_
        self.index = index
        self.name = ""
        self.arguments: list[str] = []
        self.extras: dict[str, Any] = {}

    def closed_to(self, name: str) -> bool:
        """Whether a piece that says this name begins another call."""
        return bool(self.name) and (self.name != name or _is_whole(joined(self.arguments)))

    def done(self) -> ToolCall:
        if not self.name:
            message = "the model called a tool without saying which"
            raise InvalidResponse(message)
        # The id is kept once made, so that asking twice gives the same call.
        self.id = self.id or f"call_{new_id()}"
        more = {"extras": self.extras} if self.extras else {}
        arguments = joined(self.arguments) or "{}"
        return ToolCall(id=self.id, name=self.name, arguments=arguments, **more)


def _is_whole(arguments: str) -> bool:
    try:
        from_json(arguments)
    except ValueError:
        return False
    return True
