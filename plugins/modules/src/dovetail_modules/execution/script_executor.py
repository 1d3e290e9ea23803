"""Modules that are scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail import Session
from dovetail_modules.errors import ModuleError
from dovetail_modules.resolution.state_tracker import KEY, ConversationState
from dovetail_scripts import ScriptExecutionContext, script_function

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dovetail_modules.definition import ModuleDefinition
    from dovetail_scripts import ScriptEngine, ScriptExecutionResult

NO_ENGINE = (
    "scripts need the plugin `scripts`: write [plugins.scripts] into the config "
    "(pip install dovetail-scripts)"
)


class ScriptModuleExecutor:
    """Runs a module's script."""

    def __init__(self, engine: Callable[[], ScriptEngine | None]) -> None:
        """`engine` finds the one to run it by."""
        self._engine = engine

    async def execute(
        self,
        module: ModuleDefinition,
        trigger_context: Mapping[str, Any] | None = None,
        script_context: ScriptExecutionContext | None = None,
        conversation_id: str | None = None,
        persona_id: str | None = None,
        db_session: Session | None = None,
    ) -> ScriptExecutionResult:
        """Run it to its end; its variables are in what this gives.

        `trigger_context`, `conversation_id` (as `session`) and `persona_id` (as `persona`) are
        inputs beside those of `script_context`. With a session, `get_state` and `set_state` are
        functions on what modules keep in its state, unless `script_context` brings its own; saving
        the session is the caller's affair.

        Raises:
            ScriptError: the script did not come to its end.
            ModuleError: there is no engine.
        """
        engine = self._engine()
        if engine is None:
            raise ModuleError(NO_ENGINE)
        given = script_context or ScriptExecutionContext(module.name)
        inputs = dict(given.inputs)
        own = {
            "trigger_context": trigger_context,
            "session": conversation_id,
            "persona": persona_id,
        }
        inputs |= {key: value for key, value in own.items() if value is not None}
        functions = dict(given.functions)
        if isinstance(db_session, Session):
            functions = {**_functions_on(db_session), **functions}
        script = ScriptExecutionContext(
            given.name or module.name,
            given.context,
            inputs,
            functions,
            given.now,
            given.seed,
            given.limits,
        )
        return await engine.run(module.script, script)


def _functions_on(session: Session) -> Mapping[str, Callable[..., Any]]:
    state = ConversationState(session.state.get(KEY))

    @script_function
    def get_state(key: str, default: Any = None) -> Any:
        return state.get(key, default)

    @script_function(writes=True)
    def set_state(key: str, value: Any) -> None:
        state.set(key, value)
        session.state[KEY] = state.to_dict()

    return {"get_state": get_state, "set_state": set_state}
