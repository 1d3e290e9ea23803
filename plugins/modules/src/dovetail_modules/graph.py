"""Which modules refer to which: found once for a template, in time that grows with their number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dovetail_modules.definition import CachePolicy, Timing
from dovetail_modules.plan import Cut
from dovetail_modules.template_parser import TemplateParser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dovetail_modules.definition import ModuleDefinition
    from dovetail_modules.sourced import Snapshot
    from dovetail_modules.template_parser import ParsedTemplate

TEMPLATE = ""
"""What stands for the template where a module's name would."""


@dataclass(slots=True)
class Graph:
    """The modules that a template reaches."""

    parsed: dict[str, ParsedTemplate] = field(default_factory=dict)
    """The template, and the content of each module."""
    order: list[str] = field(default_factory=list)
    """Every module, after those that its content names."""
    late: set[str] = field(default_factory=set)
    """Modules that only what works after the answer needs."""
    again: set[str] = field(default_factory=set)
    """Modules that what works after the answer needs anew."""
    cuts: dict[tuple[str, str], Cut] = field(default_factory=dict)
    """References that are not followed, by who refers to whom."""


class _Walk:
    """A way through the modules, from the template and from what works after the answer."""

    def __init__(self, snapshot: Snapshot, persona: str) -> None:
        self.known: Mapping[str, ModuleDefinition] = {
            name: found.definition for name, found in snapshot.modules.items()
        }
        self.graph = Graph()
        self.posts: dict[str, None] = {}
        """What is to work after the answer, in the order in which it was met."""
        self._snapshot = snapshot
        self._persona = persona
        self._parser = TemplateParser()
        self._path: dict[str, Iterator[str]] = {}
        """The modules between the template and where we are, each with what is left of it."""
        self._done: set[str] = set()

    def template(self, template: str, always: Iterable[str]) -> None:
        """Everything that is needed before the answer."""
        parsed = self.graph.parsed[TEMPLATE] = self._parser.parse(template)
        self._from(TEMPLATE, (*parsed.references, *always), late=False)

    def after(self) -> None:
        """Everything that is needed after it."""
        for name in tuple(self.posts):  # what these refer to is met on the way
            if name not in self._done:
                self._from(TEMPLATE, (name,), late=True)

    def _from(self, referrer: str, names: Iterable[str], *, late: bool) -> None:
        for name in names:
            self._meet(referrer, name, late=late)
            while self._path:
                inner = next(reversed(self._path))
                following = next(self._path[inner], None)
                if following is not None:
                    self._meet(inner, following, late=late)
                    continue
                del self._path[inner]
                self._done.add(inner)
                self.graph.order.append(inner)

    def _meet(self, referrer: str, name: str, *, late: bool) -> None:
        """Go into `name`, or note why not."""
        module = self.known.get(name)
        if module is None:
            self._cut(referrer, name, self._snapshot.reason_for(name), "missing")
        elif not acts_for(module, self._persona):
            self._cut(referrer, name, "", "elsewhere")
        elif module.timing is Timing.POST_RESPONSE and not late:
            self.posts[name] = None
        elif name in self._path:
            path = [*self._path]
            circle = " → ".join((*path[path.index(name) :], name))
            self._cut(referrer, name, f"circular: {circle}", "circular")
        elif name in self._done:
            if late and name not in self.graph.late and module.cache is CachePolicy.NONE:
                self.graph.again.add(name)
        else:
            parsed = self.graph.parsed[name] = self._parser.parse(module.content)
            self._path[name] = iter(parsed.references)
            if late and module.timing is Timing.IMMEDIATE:
                self.graph.late.add(name)

    def _cut(self, referrer: str, name: str, reason: str, kind: str) -> None:
        self.graph.cuts[referrer, name] = Cut(referrer, name, reason, kind)


def graph_of(template: str, snapshot: Snapshot, persona: str, max_depth: int) -> Graph:
    """The modules that `template` reaches, and those that always act for `persona`."""
    walk = _Walk(snapshot, persona)
    always = [m for m in walk.known.values() if m.always and acts_for(m, persona)]
    walk.posts.update((m.name, None) for m in always if m.timing is Timing.POST_RESPONSE)
    walk.template(template, [m.name for m in always if m.timing is Timing.IMMEDIATE])
    walk.after()
    _cut_deep(walk, max_depth)
    return walk.graph


def acts_for(module: ModuleDefinition, persona: str) -> bool:
    """Whether `module` is for this persona."""
    return not module.personas or persona in module.personas


def children_of(graph: Graph, known: Mapping[str, ModuleDefinition], name: str) -> list[str]:
    """The modules whose texts of the same turn `name` (or the template) needs."""
    late = name != TEMPLATE and (name in graph.late or known[name].timing is Timing.POST_RESPONSE)
    return [
        child
        for child in graph.parsed[name].references
        if (name, child) not in graph.cuts and (late or known[child].timing is Timing.IMMEDIATE)
    ]


def _cut_deep(walk: _Walk, max_depth: int) -> None:
    """Cut the references to whatever lies deeper than it may."""
    graph, levels = walk.graph, dict.fromkeys(walk.graph.order, 1)
    for name in reversed(graph.order):
        for child in children_of(graph, walk.known, name):
            levels[child] = max(levels[child], levels[name] + 1)
    deep = {name for name, level in levels.items() if level > max_depth}
    if not deep:
        return
    for referrer in (TEMPLATE, *graph.order):
        for child in graph.parsed[referrer].references:
            if child in deep and (referrer, child) not in graph.cuts:
                reason = f"lies more than {max_depth} deep"
                graph.cuts[referrer, child] = Cut(referrer, child, reason, "deep")
    graph.order = [name for name in graph.order if name not in deep]
