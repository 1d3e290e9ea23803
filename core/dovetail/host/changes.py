"""What a reload changes: from what runs and what is planned to what is kept, and what is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.host.lifecycle import Instance
    from dovetail.host.planning import Key, Planned


@dataclass(slots=True)
class Changes:
    """How to come from what runs to what is planned; what is in neither list is taken out."""

    kept: list[Instance] = field(default_factory=list)
    fresh: list[Planned] = field(default_factory=list)
    """What must be started, in place of what runs under its name if anything does."""
    stuck: list[Instance] = field(default_factory=list)
    """Those of `kept` that the config wants otherwise, but that only a restart can change."""


def compare(planned: Sequence[Planned], running: Sequence[Instance]) -> Changes:
    """What to keep and what to start so that `planned` runs."""
    by_key = {instance.planned.key: instance for instance in running}
    changes = Changes()
    replaced: set[Key] = set()
    for plan in _needed_first(planned):
        instance = by_key.get(plan.key)
        if instance is None or not _must_stay(instance, plan, replaced):
            changes.fresh.append(plan)
            replaced.add(plan.key)
            continue
        changes.kept.append(instance)
        if not instance.planned.same(plan) or plan.needs & replaced:
            changes.stuck.append(instance)
    _pin_needs(changes, by_key)
    return changes


def dependants(broken: Instance, running: Sequence[Instance]) -> list[Instance]:
    """What needs `broken`, also through others; without the session store, which always stays."""
    out = {broken.planned.key}
    found: list[Instance] = []
    for instance in running:  # what a component needs comes before it
        if instance.planned.needs & out and instance.planned.entry.kind != "sessions":
            found.append(instance)
            out.add(instance.planned.key)
    return found


def _must_stay(instance: Instance, plan: Planned, replaced: set[Key]) -> bool:
    """Whether it can stay as it is, or cannot be replaced."""
    if plan.component.exclusive or plan.entry.kind == "sessions":
        return True
    return instance.planned.same(plan) and not plan.needs & replaced


def _pin_needs(changes: Changes, running: dict[Key, Instance]) -> None:
    """What is stuck goes on with the very instances it was started with: those stay too."""
    for instance in changes.stuck:  # it grows
        for key in sorted(instance.planned.needs):
            needed = running.get(key)  # what broke has been taken out
            if needed is not None and needed not in changes.kept:
                changes.kept.insert(0, needed)  # before what needs it
                changes.stuck.append(needed)
    kept = {instance.planned.key for instance in changes.kept}
    changes.fresh = [plan for plan in changes.fresh if plan.key not in kept]


def _needed_first(planned: Sequence[Planned]) -> list[Planned]:
    """In an order in which what a component needs comes before it."""
    ordered: list[Planned] = []
    waiting = list(planned)
    while waiting:
        coming = {p.key for p in waiting}
        ordered.extend(p for p in waiting if not p.needs & coming)
        waiting = [p for p in waiting if p.needs & coming]
    return ordered
