"""Making plans, and keeping them for the next turn."""

from __future__ import annotations

from collections import OrderedDict
from itertools import groupby
from typing import TYPE_CHECKING, cast

from dovetail import Stage
from dovetail_modules.definition import StateScope
from dovetail_modules.graph import TEMPLATE, children_of, graph_of
from dovetail_modules.plan import AFTER, WORKING, Cut, Insert, Node, Part, Plan
from dovetail_modules.resolution.result_models import ModuleRun
from dovetail_modules.template_parser import Reference
from dovetail_modules.waves import waves_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dovetail_modules.definition import ModuleDefinition
    from dovetail_modules.graph import Graph
    from dovetail_modules.settings import ModulesSettings
    from dovetail_modules.sourced import Snapshot
    from dovetail_modules.template_parser import Piece

KEPT = 128
"""How many plans are kept."""
LONGEST_REASON = 200
MOST_PARTS = 50_000
"""How many parts a content may have with others put in; beyond that it refers to them."""


class Planner:
    """Plans by template and persona, made again when any module changes."""

    def __init__(self, settings: ModulesSettings) -> None:
        self._settings = settings
        self._plans: OrderedDict[tuple[str, str], Plan] = OrderedDict()
        self._snapshot: Snapshot | None = None

    def plan(self, template: str, snapshot: Snapshot, persona: str) -> Plan:
        """What `template` comes to."""
        if snapshot is not self._snapshot:
            self._plans.clear()
            self._snapshot = snapshot
        key = template, persona
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _Making(template, snapshot, persona, self._settings).plan()
            if len(self._plans) > KEPT:
                self._plans.popitem(last=False)
        return plan


def gap(settings: ModulesSettings, name: str, reason: str) -> str:
    """What stands for a module that came to nothing."""
    reason = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]} …"
    return settings.gap.replace("{name}", name).replace("{reason}", reason)


def whole(parts: tuple[Part, ...]) -> str | None:
    """The text that `parts` are, unless something has to be put in."""
    if not parts:
        return ""
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else None


def _run_of(node: Node, stage: Stage) -> ModuleRun:
    """What there is to tell of a module that is text alone."""
    chars = len(node.text) if node.text is not None else None
    return ModuleRun(node.name, stage, str(node.module.kind), 0.0, chars)


class _Making:
    def __init__(
        self, template: str, snapshot: Snapshot, persona: str, settings: ModulesSettings
    ) -> None:
        self._settings = settings
        self._known: Mapping[str, ModuleDefinition] = {
            name: found.definition for name, found in snapshot.modules.items()
        }
        self._graph: Graph = graph_of(template, snapshot, persona, settings.max_depth)
        self._nodes: dict[str, Node] = {}
        self._long: list[Cut] = []

    def plan(self) -> Plan:
        for name in self._graph.order:
            self._nodes[name] = self._node(name)
        parts = self._parts(TEMPLATE)
        plain: dict[Stage, list[Node]] = {stage: [] for stage in WORKING}
        for node in self._nodes.values():
            if not node.works:
                plain[node.stages[0]].append(node)
        cuts = (*self._graph.cuts.values(), *self._long)
        nodes = self._nodes.values()
        return Plan(
            parts=parts,
            nodes=self._nodes,
            waves=waves_of(self._nodes),
            plain=plain,
            heeded={
                stage: [n for n in found if n.conditional or n.after]
                for stage, found in plain.items()
            },
            texts={stage: tuple(_run_of(n, stage) for n in plain[stage]) for stage in WORKING},
            flat=self._flat(parts),
            posts=tuple(n for n in nodes if n.after),
            cuts=tuple(cut for cut in cuts if cut.reason),
            refusal=self._refusal(cuts),
            text=whole(parts),
            users=any(n.module.scope is StateScope.USER for n in nodes),
            counts=any(n.module.when.every is not None for n in nodes),
        )

    def _node(self, name: str) -> Node:
        module = self._known[name]
        node = Node(module, self._stages(module), self._parts(name))
        node.children = tuple(children_of(self._graph, self._known, name))
        if node.works or node.conditional or node.after:
            return node
        text = whole(node.parts)
        if text is not None:
            longest = min(self._settings.max_length, module.limits.length or 10**9)
            if len(text) > longest:
                self._long.append(Cut(name, name, f"longer than {longest:,} characters", "long"))
                text = gap(self._settings, name, self._long[-1].reason)
            node.text = text
        return node

    def _stages(self, module: ModuleDefinition) -> tuple[Stage, ...]:
        late = module.name in self._graph.late or module.timing == "post_response"
        after = AFTER[module.asks]
        if late:
            return (after,)
        before = Stage.PRE_RESPONSE if module.asks else Stage.TEMPLATE
        return (before, after) if module.name in self._graph.again else (before,)

    def _parts(self, name: str) -> tuple[Part, ...]:
        """The pieces of a content, with the texts that never change put in."""
        own = set(children_of(self._graph, self._known, name))
        parts = (self._part(name, piece, own) for piece in self._graph.parsed[name].pieces)
        joined: list[Part] = []
        for is_text, group in groupby(parts, lambda part: isinstance(part, str)):
            if is_text:
                joined.append("".join(cast("Iterable[str]", group)))
            else:
                joined.extend(group)
        return tuple(joined)

    def _part(self, referrer: str, piece: Piece, own: set[str]) -> Part:
        if not isinstance(piece, Reference):
            return piece
        cut = self._graph.cuts.get((referrer, piece.name))
        if cut is not None:
            return gap(self._settings, cut.name, cut.reason) if cut.reason else ""
        if piece.name not in own:
            return Insert(piece.name, piece.written, left=True)
        text = self._nodes[piece.name].text
        return Insert(piece.name, piece.written) if text is None else text

    def _flat(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """The parts, with those of modules in place that are nothing but their content."""
        flat: dict[str, tuple[Part, ...]] = {}
        for node in self._nodes.values():
            if not (node.works or node.conditional or node.after or node.module.limits.length):
                flat[node.name] = self._spliced(node.parts, flat)
        return self._spliced(parts, flat)

    def _spliced(
        self, parts: tuple[Part, ...], flat: dict[str, tuple[Part, ...]]
    ) -> tuple[Part, ...]:
        found: list[Part] = []
        for part in parts:
            if isinstance(part, Insert) and not part.left and part.name in flat:
                found += flat[part.name]
            else:
                found.append(part)
            if len(found) > MOST_PARTS:
                return parts
        return tuple(found)

    def _refusal(self, cuts: tuple[Cut, ...]) -> str:
        for cut in cuts:
            module = self._known.get(cut.name)
            required = module is not None and module.required and cut.kind != "elsewhere"
            if required or (cut.kind == "missing" and self._settings.missing == "refuse"):
                where = f"module `{cut.referrer}`" if cut.referrer else "the persona's template"
                need = "which is required" if required else "which must not be missing"
                return f"{where} names the module `{cut.name}`, {need}: {cut.reason}"
        return ""
