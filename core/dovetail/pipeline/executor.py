"""What works in a stage, and where it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from dovetail.component import Component
from dovetail.errors import PluginError
from dovetail.pipeline.stage import Stage

if TYPE_CHECKING:
    from dovetail.pipeline.turn import Turn


class StageExecutor(Component, ABC):
    """Does work in one of the stages around the answer.

    Those of equal priority work side by side, the lowest priority first. One that fails is left
    out, unless it is `required`.
    """

    stage: Stage
    """The stage it works in; any but `Stage.RESPONSE`."""
    priority: int = 0
    """Who has the lowest works first."""
    requires_ai: bool = False
    """Whether it asks models."""
    required: bool = False
    """Whether the turn fails if it does; a `StageError` that it raises fails it in any case."""
    needs_persona: bool = False
    """Whether it has nothing to do in a turn without a persona."""

    def idle(self, turn: Turn) -> bool:
        """Whether it has nothing to do in this turn; asked just before its stage.

        A stage in which nobody has is left out: no event, no middleware, no time.
        """
        return False

    @abstractmethod
    async def execute(self, turn: Turn) -> Any:
        """Do the work; what it returns is kept in `turn.results`.

        It is cancelled with the turn, and when the stage takes longer than it may.
        """


class StageRunner(ABC):
    """Decides where executors run."""

    @abstractmethod
    async def run(self, executor: StageExecutor, turn: Turn) -> Any:
        """Have `executor` do its work on `turn`; what it returned."""


class InProcessRunner(StageRunner):
    """Runs them where the turn runs."""

    async def run(self, executor: StageExecutor, turn: Turn) -> Any:
        """Await it."""
        return await executor.execute(turn)


def check_executor(cls: type[StageExecutor]) -> None:
    """Refuse a class that says no stage, or one that nothing can work in.

    Raises:
        PluginError: saying which there are.
    """
    stages = [stage for stage in Stage if stage is not Stage.RESPONSE]
    if getattr(cls, "stage", None) not in stages:
        names = ", ".join(f"Stage.{stage.name}" for stage in stages)
        message = f"`{cls.__name__}.stage` should be one of {names}"
        raise PluginError(message)
