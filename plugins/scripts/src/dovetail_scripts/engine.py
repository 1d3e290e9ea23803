"""The service `script_engine`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar

import structlog

from dovetail import ContextAwareService, Problem, use_context
from dovetail_scripts.builtin import Builtins
from dovetail_scripts.calls import HostCalls
from dovetail_scripts.data import Allowance, NotData, TooLong, copied
from dovetail_scripts.errors import (
    Place,
    ScriptFailed,
    ScriptOutputTooLong,
    ScriptSyntaxError,
)
from dovetail_scripts.job import Order
from dovetail_scripts.models import ScriptExecutionContext
from dovetail_scripts.offered import Offered
from dovetail_scripts.places import DEEPEST, Places
from dovetail_scripts.settings import ScriptSettings

if TYPE_CHECKING:
    from dovetail import SmartDependencyContainer
    from dovetail_scripts.models import Limits, ScriptExecutionResult
    from dovetail_scripts.places import Engine

LONGEST_SOURCE = 200_000
"""Characters of a script."""

log = structlog.get_logger("dovetail")


class ScriptEngine(ContextAwareService):
    """Runs scripts within limits, each in a process of its own.

    As many as `workers` run side by side, more wait. Settings stand in `[plugins.scripts]`.
    """

    name: ClassVar[str] = "script_engine"
    settings: ScriptSettings

    def __init__(self, dependency_container: SmartDependencyContainer | None = None) -> None:
        super().__init__(dependency_container)
        self._places = Places()
        self._offered = Offered()

    async def start(self) -> None:
        """Start the first worker."""
        await self._places.open(self._chosen(), self.settings)

    def _chosen(self) -> Engine:
        most = self.settings.workers * DEEPEST
        if self.settings.engine == "monty":
            from dovetail_scripts.monty import MontyEngine

            return MontyEngine(most)
        from dovetail_scripts.restricted import RestrictedEngine

        log.warning(
            'scripts run by `engine = "restricted"`, which is no security boundary: '
            "whoever can write a script can do what this process's account may do"
        )
        return RestrictedEngine(most)

    async def stop(self) -> None:
        """End the scripts that run, and every worker."""
        await self._places.close()

    async def run(self, source: str, script: ScriptExecutionContext) -> ScriptExecutionResult:
        """Run a script to its end. Cancelled, it ends the script and any call it waits for.

        Raises:
            ScriptError: it did not come to its end; see `dovetail_scripts.errors`.
            ServiceError: the engine does not run.
        """
        limits = self.settings.limits.tightened(script.limits)
        order = self._order(source, script, limits)
        with use_context(script.context) if script.context is not None else nullcontext():
            return await self._places.run(order)

    async def check(self, source: str, name: str) -> list[Problem]:
        """What keeps a script from being run at all; the first such thing, or nothing.

        Raises:
            ScriptError: that could not be found out.
            ServiceError: the engine does not run.
        """
        limits = self.settings.limits
        try:
            order = self._order(source, ScriptExecutionContext(name), limits)
            await self._places.check(order)
        except ScriptSyntaxError as error:
            return [Problem(error.message, error.where, error.source_line)]
        return []

    def _order(self, source: str, script: ScriptExecutionContext, limits: Limits) -> Order:
        self._places.engine()  # without it the container may be closed too
        if len(source) > LONGEST_SOURCE:
            message = f"it is longer than {LONGEST_SOURCE:,} characters"
            raise ScriptSyntaxError(message, Place(script.name))
        try:
            source.encode()
        except UnicodeEncodeError:
            message = "it has half of a surrogate pair in it"
            raise ScriptSyntaxError(message, Place(script.name)) from None
        seed = script.seed if script.seed is not None else self.settings.seed
        built_in = Builtins(script.now, seed).functions()
        offered = self._offered.functions(self.dependency_container)
        calls = HostCalls(built_in, offered, script.functions, limits)
        inputs = _copied(script, limits)
        return Order(source, script.name, inputs, limits, calls, script.now, seed)


def _copied(script: ScriptExecutionContext, limits: Limits) -> dict[str, object]:
    given: dict[str, object] = {}
    for name, value in script.inputs.items():
        if not name.isidentifier():
            message = f"the input `{name}` has a name that no variable can have"
            raise ScriptFailed(message, Place(script.name))
        try:
            given[name] = copied(value, Allowance(limits.memory * 1_000_000))
        except NotData as error:
            message = f"the input `{name}` holds {error}; inputs are JSON data"
            raise ScriptFailed(message, Place(script.name)) from None
        except TooLong:
            message = f"the input `{name}` has no room in {limits.memory} MB"
            raise ScriptOutputTooLong(message, Place(script.name)) from None
    return given
