"""What a template comes to: which modules it needs, in which stage, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from dovetail import Stage
from dovetail_modules.definition import ModuleKind, Timing

if TYPE_CHECKING:
    from dovetail_modules.definition import ModuleDefinition
    from dovetail_modules.resolution.result_models import ModuleRun
    from dovetail_modules.template_parser import Value

BEFORE = (Stage.TEMPLATE, Stage.PRE_RESPONSE)
AFTER = (Stage.POST_RESPONSE, Stage.POST_RESPONSE_AI)
WORKING = (*BEFORE, *AFTER)


@dataclass(frozen=True, slots=True)
class Insert:
    """Where a module's text goes."""

    name: str
    written: str
    left: bool = False
    """Whether it is the text that the module left after an earlier answer."""


Part: TypeAlias = "str | Insert | Value"


@dataclass(frozen=True, slots=True)
class Cut:
    """A reference that is not followed."""

    referrer: str
    """The module it stands in; empty for the template."""
    name: str
    reason: str
    """What its gap says; empty where nothing is missed."""
    kind: str
    """`missing`, `circular`, `deep`, `long` or `elsewhere`."""


@dataclass(slots=True, eq=False)
class Node:
    """One module that a template needs."""

    module: ModuleDefinition
    stages: tuple[Stage, ...] = ()
    """Where it works; more than one if it works again."""
    parts: tuple[Part, ...] = ()
    """Its content."""
    children: tuple[str, ...] = ()
    """The modules whose texts of this turn its content needs."""
    text: str | None = None
    """Its text, if that is the same in every turn."""

    @property
    def name(self) -> str:
        """The module's."""
        return self.module.name

    @property
    def works(self) -> bool:
        """Whether there is anything to do but to put its text together."""
        return self.module.kind is not ModuleKind.SIMPLE

    @property
    def conditional(self) -> bool:
        """Whether it may be left out."""
        return bool(self.module.when.model_fields_set)

    @property
    def after(self) -> bool:
        """Whether its text is for the next turn."""
        return self.module.timing is Timing.POST_RESPONSE


@dataclass(slots=True, eq=False)
class Plan:
    """All that is known of a template before a turn."""

    parts: tuple[Part, ...] = ()
    nodes: dict[str, Node] = field(default_factory=dict)
    """Every module it needs, after those that its content names."""
    waves: dict[Stage, list[list[Node]]] = field(default_factory=dict)
    """What works in each stage: one wave after the other, each wave's modules side by side."""
    plain: dict[Stage, list[Node]] = field(default_factory=dict)
    """The modules of each stage that are text alone."""
    flat: tuple[Part, ...] = ()
    """The template, with the contents put in of modules that are text alone and always act."""
    heeded: dict[Stage, list[Node]] = field(default_factory=dict)
    """Those of them that may be left out, or whose text is for the next turn."""
    texts: dict[Stage, tuple[ModuleRun, ...]] = field(default_factory=dict)
    """What there is to tell of the modules that are text alone."""
    posts: tuple[Node, ...] = ()
    """What works after the answer, for the next turn."""
    cuts: tuple[Cut, ...] = ()
    refusal: str = ""
    """Why no turn can be held with it."""
    text: str | None = None
    """The prompt, if it is the same in every turn."""
    users: bool = False
    """Whether a module remembers things of users."""
    counts: bool = False
    """Whether it matters which turn of a conversation it is."""

    @property
    def unchanging(self) -> bool:
        """Whether there is nothing to do in a turn but to take its text."""
        changing = self.cuts or self.counts or self.users or any(self.waves.values())
        return self.text is not None and not changing

    def works_in(self, stage: Stage) -> bool:
        """Whether there is anything for this stage."""
        return bool(self.waves.get(stage) or self.plain.get(stage))

    told: bool = False
    """Whether what is wrong with it was logged."""

    @property
    def works_after(self) -> bool:
        """Whether there is anything for the stages after the answer."""
        return any(map(self.works_in, AFTER))
