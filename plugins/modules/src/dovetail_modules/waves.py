"""In which order the modules of a stage work."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from dovetail_modules.plan import WORKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail import Stage
    from dovetail_modules.plan import Node

Place: TypeAlias = "tuple[int, int]"
"""The priority by which a module works, and how many waves of that priority come before it."""


def waves_of(nodes: Mapping[str, Node]) -> dict[Stage, list[list[Node]]]:
    """For each stage the modules that work in it: by priority, and after those they need.

    `nodes` has every module after those that its content names.
    """
    waves: dict[Stage, list[list[Node]]] = {}
    for stage in WORKING:
        below: dict[str, Place] = {}
        by_place: dict[Place, list[Node]] = {}
        for node in nodes.values():
            places = [below[child] for child in node.children if child in below]
            last = max(places, default=None)
            if node.works and stage in node.stages:
                place = (node.module.priority, 0)
                if last is not None and last >= place:
                    place = (last[0], last[1] + 1)
                by_place.setdefault(place, []).append(node)
                last = place if last is None else max(last, place)
            if last is not None:
                below[node.name] = last
        waves[stage] = [found for _, found in sorted(by_place.items())]
    return waves
