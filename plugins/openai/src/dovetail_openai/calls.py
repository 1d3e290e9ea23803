"""Whether an answer that says it is complete breaks off in the middle of a tool call."""

from __future__ import annotations

from pydantic_core import from_json

from dovetail import FinishReason, InvalidResponse, StreamingAccumulator, StreamingChunk

_COMPLETE = (FinishReason.STOP, FinishReason.TOOL_CALLS)


class Calls:
    """The tool calls of the answers of one request.

    Servers say `tool_calls` or `stop` also where the most tokens were reached in mid-call.
    Arguments that a model wrote wrongly are another matter: they are all there, and whoever runs
    the tool can tell the model what is wrong with them.
    """

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: dict[int, StreamingAccumulator] = {}

    def add(self, chunk: StreamingChunk) -> None:
        """Take in the next chunk.

        Raises:
            InvalidResponse: its answer ends as if it were complete, in the middle of the arguments
                of a call, which are in `metadata["arguments"]`; or a call has no name.
        """
        if chunk.tool_calls:
            answer = self._answers.setdefault(chunk.index, StreamingAccumulator())
            answer.add(StreamingChunk(tool_calls=chunk.tool_calls))
        if chunk.finish_reason in _COMPLETE and chunk.index in self._answers:
            self._check(self._answers.pop(chunk.index), chunk.finish_reason)

    def _check(self, answer: StreamingAccumulator, reason: str) -> None:
        for call in answer.response().message.tool_calls:
            if _breaks_off(call.arguments):
                error = InvalidResponse(
                    f"the answer says that it is complete (`{reason}`), but breaks off in the "
                    f"arguments of its call of `{call.name}`; perhaps `max_tokens` is too low"
                )
                error.metadata["arguments"] = call.arguments
                raise error


def _breaks_off(arguments: str) -> bool:
    """Whether they are the beginning of JSON; what is blank stands for no arguments."""
    try:
        from_json(arguments)
    except ValueError as error:
        # The parser has one error for each place where a text may end too early.
        return str(error).startswith("EOF") and bool(arguments.strip())
    return False
