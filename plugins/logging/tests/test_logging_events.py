"""Lines of the deliveries of events."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dovetail import EventProvider, Kernel

Open = Callable[..., Kernel]
Lines = Callable[[], list[dict[str, Any]]]


class Listens(EventProvider):
    name = "listens"
    events = ("agent_complete", "order_*")

    async def handle_event(self, event: str, data: Any) -> None:
        if event == "order_lost":
            raise KeyError("key sk-0123456789abcdef0123456789abcdef")


async def test_a_delivery_that_fails_is_a_line(open_kernel: Open, log: Path, lines: Lines) -> None:
    async with open_kernel({"file": str(log)}, more=(Listens,)) as kernel:
        await kernel.publish("order_placed")
        await kernel.publish("order_lost")
    (line,) = lines()
    assert (line["event"], line["level"], line["outcome"]) == ("event", "error", "error")
    assert (line["provider"], line["name"], line["error"]) == ("listens", "order_lost", "KeyError")
    assert "sk-0123456789abcdef" not in str(line)
    assert "request_id" not in line


async def test_every_delivery_is_a_line_at_the_level_debug(
    open_kernel: Open, log: Path, lines: Lines
) -> None:
    async with open_kernel({"file": str(log), "level": "debug"}, more=(Listens,)) as kernel:
        await kernel.chat("hi", user="ann", session="s")
    chat, event = lines()
    assert (chat["event"], event["event"]) == ("chat", "event")
    assert (event["level"], event["name"], event["outcome"]) == ("debug", "agent_complete", "ok")
    assert event["request_id"] == chat["request_id"]
    assert (event["user_id"], event["session_id"]) == ("ann", "s")
    assert event["duration_s"] >= 0
