"""What the plugin's stages and its service share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from dovetail import (
    Component,
    DependencyNotFound,
    Kernel,
    MessageRole,
    ServiceNotFound,
    SessionManager,
    Stage,
)
from dovetail_modules.catalogue import Catalogue
from dovetail_modules.folder import ModuleFolder
from dovetail_modules.offered import OfferedModules
from dovetail_modules.repository import InMemoryModuleRepository, ModuleRepository
from dovetail_modules.resolution.orchestrator import Orchestrator
from dovetail_modules.resolution.pipeline_executor import MODULE_COMPLETE, MODULE_START
from dovetail_modules.resolution.session_manager import ModuleStates, StateKeeper
from dovetail_modules.resolution.streaming_handler import StreamingHandler
from dovetail_modules.resolution.work import Work
from dovetail_modules.settings import ModulesSettings

if TYPE_CHECKING:
    from dovetail import SmartDependencyContainer, Turn
    from dovetail_modules.plan import Plan
    from dovetail_scripts import ScriptEngine

SHARE = 0.9
"""Which part of the kernel's time for a stage modules may take."""
KEY = "~modules"
"""Where a turn's variables hold the work of its modules between the stages."""

log = structlog.get_logger("dovetail")


class Modules(Component):
    """The modules of a kernel. Settings stand in `[plugins.modules]`."""

    name: ClassVar[str] = "modules"
    settings: ModulesSettings

    catalogue: Catalogue
    orchestrator: Orchestrator
    container: "SmartDependencyContainer"
    """The kernel's; the service hands it over when it starts."""

    def __init__(self) -> None:
        self._memory = InMemoryModuleRepository()
        self._kernel: Kernel | None = None

    async def start(self) -> None:
        """Read nothing yet: while a kernel starts, not every source is there."""
        self.orchestrator = Orchestrator(self.settings, self.engine)

    def attach(self, container: SmartDependencyContainer) -> None:
        """Take the kernel's container; called once, when the service starts."""
        self.container = container
        self._kernel = kernel = container.resolve(Kernel)
        settings = self.settings
        needed = "folder" in settings.model_fields_set
        self.catalogue = Catalogue(
            folder=ModuleFolder(settings.folder.expanduser(), needed=needed),
            offered=OfferedModules(kernel),
            store=self.repository,
            store_name=settings.store,
            refresh=settings.refresh,
        )

    @property
    def kernel(self) -> Kernel:
        """The kernel.

        Raises:
            DependencyNotFound: there is none yet.
        """
        if self._kernel is None:
            raise DependencyNotFound("the modules have no kernel yet: its service has not started")
        return self._kernel

    def engine(self) -> ScriptEngine | None:
        """What runs scripts, if the config has it."""
        engine: ScriptEngine | None = self._service("script_engine")
        return engine

    def repository(self) -> ModuleRepository | None:
        """Where modules are kept that programs write, if anywhere."""
        if self.settings.store == "memory":
            return self._memory
        if not self.settings.store:
            return None
        found: ModuleRepository | None = self._service(f"{self.settings.store}_modules")
        return found

    def keeper(self) -> StateKeeper:
        """Reads and saves what modules keep."""
        return StateKeeper(self.settings, self.container.resolve(SessionManager))

    def _service(self, name: str) -> Any:
        try:
            return self.kernel.services.get(name)
        except ServiceNotFound:
            return None

    def idle(self, turn: Turn) -> bool:
        """Whether the turn's template is its prompt, and nothing is to be done after the answer."""
        catalogue = self.catalogue
        if not catalogue.fresh:
            return False
        plan = self.orchestrator.planner.plan(turn.template, catalogue.snapshot, turn.persona_id)
        return not plan.nodes and not plan.cuts and plan.text == turn.template

    async def begin(self, turn: Turn) -> Work | None:
        """The work of a turn's modules; None if there is none to do.

        Raises:
            StageError: a module that must not be missing is.
        """
        catalogue = self.catalogue
        snapshot = catalogue.snapshot if catalogue.fresh else await catalogue.current()
        plan = self.orchestrator.planner.plan(turn.template, snapshot, turn.persona_id)
        if plan.unchanging and not plan.works_after and not (plan.nodes and self._told()):
            turn.prompts.set_stage_prompt(Stage.TEMPLATE, plan.text or "")
            return None
        work = await self._work(turn, plan)
        await self.orchestrator.begin(work)
        turn.variables[KEY] = work
        return work

    def _told(self) -> bool:
        """Whether anybody wants to hear of modules."""
        wants = self.kernel.generation.events.wants
        return wants(MODULE_START) or wants(MODULE_COMPLETE)

    async def run(self, turn: Turn, work: Work, stage: Stage) -> None:
        """One stage of it.

        Raises:
            StageError: a module failed that is required.
        """
        if turn.response is not None:
            work.answer(turn.response.message)
        try:
            if stage < Stage.RESPONSE or work.plan.works_in(stage):
                await self.orchestrator.run(work, stage)
        finally:
            for name, outcome in work.outcomes.items():
                if outcome.variables:
                    turn.variables[name] = dict(outcome.variables)
            if work.keeper.put(turn.session, work.states.conversation):
                turn.state_changed = True

    async def end(self, work: Work) -> None:
        """Save what was kept of the user: once a turn, if anything was."""
        user, state = work.user, work.states.user
        if user is None or state is None or not state.changed:
            return
        try:
            await work.keeper.save_user(user, state)
        except Exception:  # a store may raise anything; the answer was given all the same
            log.exception("the state of a user's modules is not saved")

    async def _work(self, turn: Turn, plan: Plan) -> Work:
        context, session, keeper = turn.context, turn.session, self.keeper()
        user = context.user_id
        states = ModuleStates(
            keeper.of_session(session),
            await keeper.of_user(user) if plan.users and user is not None else None,
        )
        said = [m for m in turn.request.messages if m.role is not MessageRole.SYSTEM]
        model = turn.request.model or (turn.persona.model if turn.persona is not None else "")
        model = self.settings.model or model
        generation = self.kernel.generation
        # Not asked for again: when the kernel closes, the turn may go on for a while without it.
        return Work(
            plan,
            states,
            keeper,
            StreamingHandler(self.container, model, depth=self.settings.reflection_depth),
            context,
            turn.persona_id,
            turn.request.metadata,
            said[-1].text if said else "",
            past=session.history if session is not None else (),
            present=said,
            prompts=turn.prompts,
            tell=turn.tell,
            wants=generation.events.wants,
            seconds=generation.reading.pipeline.stage_timeout * SHARE,
        )
