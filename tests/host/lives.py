"""A component that notes its life, for tests of starting and stopping."""

# No `from __future__ import annotations`: the annotations of settings are evaluated.

from dovetail import ChatProvider, Ref, Settings
from tests.support.plugins import Echo


class Needs(Settings):
    needs: list[Ref[ChatProvider]] = []
    mark: str = ""


class Lively(Echo):
    """Notes in `events` when an instance of it starts and stops."""

    settings: Needs
    events: list[str]

    async def start(self) -> None:
        self.events.append(f"start {self.instance}")

    async def stop(self) -> None:
        self.events.append(f"stop {self.instance}")


def noting(events: list[str]) -> type[Lively]:
    """A class of its own that notes in `events`."""
    return type("Noting", (Lively,), {"events": events})
