"""Putting texts together: what stands at each reference, as far as it is known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dovetail_modules.plan import Insert
from dovetail_modules.planner import gap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail import ChatMessage
    from dovetail_modules.plan import Node, Part
    from dovetail_modules.resolution.work import Work
    from dovetail_modules.settings import ModulesSettings
    from dovetail_modules.template_parser import Value

HISTORY = 20
"""How many messages `${history}` shows."""


class TemplateResolver:
    """Puts the texts of one turn together, as they are at one moment."""

    def __init__(self, work: Work, settings: ModulesSettings) -> None:
        self._work = work
        self._settings = settings
        self._texts: dict[str, str] = {}
        self.long: dict[str, str] = {}
        """Modules whose text was too long, with the reason their gap says."""

    def prompt(self) -> str:
        """The template. A module that has yet to work stands there as it is written."""
        plan = self._work.plan
        if plan.text is not None:
            return plan.text
        if plan.flat is not plan.parts:
            text = self._in_one_go(plan.flat)
            if len(text) <= self._settings.max_length:  # then no module's text is too long
                return text
        most, texts = self._settings.max_prompt, []
        for part in plan.parts:
            text = self._part(part, {})
            most -= len(text)
            if most < 0:
                texts.append(gap(self._settings, "…", "the prompt is too long"))
                break
            texts.append(text)
        return "".join(texts)

    def _in_one_go(self, parts: tuple[Part, ...]) -> str:
        own: Mapping[str, Any] = {}
        return "".join([part if type(part) is str else self._part(part, own) for part in parts])

    def text(self, name: str) -> str:
        """A module's text of this turn; empty if it does not act, a gap if it failed."""
        known = self._texts.get(name)
        if known is None:
            known = self._texts[name] = self._text(self._work.plan.nodes[name])
        return known

    def content(self, node: Node) -> str:
        """A module's content, with all it names put in."""
        outcome = self._work.outcomes.get(node.name)
        return self._joined(node, outcome.variables if outcome is not None else {})

    def _text(self, node: Node) -> str:
        if node.text is not None:
            return node.text
        outcome = self._work.outcomes.get(node.name)
        if outcome is None and node.after:
            return self.left(node.name)
        if outcome is None and node.works:
            return f"@{node.name}"
        if outcome is not None and outcome.status == "skipped":
            return self.left(node.name) if node.after else ""
        if outcome is not None and outcome.status == "failed":
            return gap(self._settings, node.name, outcome.reason)
        if outcome is None or outcome.text is None:
            text = self._joined(node, outcome.variables if outcome is not None else {})
        else:
            text = outcome.text
        return self._within(node, text)

    def _joined(self, node: Node, own: Mapping[str, Any]) -> str:
        most, texts = self.longest(node), []
        if node.after:
            own = {"previous": self.left(node.name), **own}
        for part in node.parts:
            texts.append(self._part(part, own))
            most -= len(texts[-1])
            if most < 0:  # no need to put together what is thrown away
                break
        return "".join(texts)

    def _part(self, part: Part, own: Mapping[str, Any]) -> str:
        if isinstance(part, str):
            return part
        if isinstance(part, Insert):
            return self.left(part.name) if part.left else self.text(part.name)
        return self._value(part, own)

    def longest(self, node: Node) -> int:
        """How many characters a module's text may have."""
        own, most = node.module.limits.length, self._settings.max_length
        return most if own is None else min(own, most)

    def _within(self, node: Node, text: str) -> str:
        longest = self.longest(node)
        if len(text) <= longest:
            return text
        reason = self.long[node.name] = f"longer than {longest:,} characters"
        return gap(self._settings, node.name, reason)

    def left(self, name: str) -> str:
        """What a module left after an earlier answer, or its `initial` text."""
        module = self._work.plan.nodes[name].module
        found = self._work.states.of(module).left(name)
        return module.initial if found is None else found.text

    def _value(self, value: Value, own: Mapping[str, Any]) -> str:
        path, work = value.path, self._work
        first = path[0]
        found: Any
        if first in own:
            found = own[first]
        elif first in work.values:
            found = work.values[first]
        elif first in work.variables:
            found = work.variables[first]
        elif first == "history" and len(path) == 1:
            return said(work.history(HISTORY))
        else:
            return value.written
        for key in path[1:]:
            if not isinstance(found, dict) or key not in found:
                return value.written
            found = found[key]
        return as_text(found)


def as_text(value: object) -> str:
    """A value as it stands in a prompt: text as it is, nothing for None, else JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def said(messages: list[ChatMessage]) -> str:
    """Messages as they stand in a prompt, a line or more for each."""
    return "\n".join(f"{message.role}: {message.text}" for message in messages)
