"""Who refers to whom, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail_modules.template_parser import TemplateParser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dovetail_modules.sourced import Snapshot


class Drawing:
    """The personas and modules, with what each names."""

    def __init__(self, snapshot: Snapshot, personas: Mapping[str, str]) -> None:
        parser = TemplateParser()
        self._modules = snapshot.modules
        self._personas = {name: parser.parse(text).references for name, text in personas.items()}
        self._references = {
            name: parser.parse(found.definition.content).references
            for name, found in snapshot.modules.items()
        }

    def tree(self) -> Iterator[str]:
        """Lines of a tree: each persona, then the modules that nobody names.

        What was drawn before is not drawn again, but marked.
        """
        drawn: set[str] = set()
        for persona, names in self._personas.items():
            always = [n for n in self._modules if self._always(n, persona)]
            yield f"persona {persona}"
            yield from self._below((*names, *(n for n in always if n not in names)), drawn, "")
        for name in self._references:
            if name not in drawn and not self._named_by_another(name):
                yield self._label(name)
                drawn.add(name)
                yield from self._below(self._references[name], drawn, "")
        for name in self._references:  # what is left names itself in a circle
            if name not in drawn:
                yield self._label(name)
                drawn.add(name)
                yield from self._below(self._references[name], drawn, "")

    def mermaid(self) -> Iterator[str]:
        """The lines of a Mermaid flow chart."""
        ids = {name: f"m{number}" for number, name in enumerate(self._references)}
        yield "flowchart LR"
        for number, (persona, names) in enumerate(self._personas.items()):
            yield f'  p{number}(["persona {persona}"])'
            yield from (f"  p{number} --> {self._id(name, ids)}" for name in names)
        for name, names in self._references.items():
            yield f'  {ids[name]}["{name}"]'
            yield from (f"  {ids[name]} --> {self._id(other, ids)}" for other in names)

    def _id(self, name: str, ids: Mapping[str, str]) -> str:
        return ids.get(name) or f'missing["{name}: not found"]'

    def _always(self, name: str, persona: str) -> bool:
        module = self._modules[name].definition
        return module.always and (not module.personas or persona in module.personas)

    def _named_by_another(self, name: str) -> bool:
        return any(name in names for other, names in self._references.items() if other != name)

    def _below(self, names: tuple[str, ...], drawn: set[str], indent: str) -> Iterator[str]:
        stack = [(name, indent, number == len(names) - 1) for number, name in enumerate(names)]
        stack.reverse()
        while stack:
            name, indent, last = stack.pop()
            again = name in drawn
            known = self._references.get(name)
            mark = " (above)" if again and known else "" if known is not None else " (not found)"
            yield f"{indent}{'└' if last else '├'}─ {self._label(name)}{mark}"
            if again or not known:
                drawn.add(name)
                continue
            drawn.add(name)
            inner = indent + ("   " if last else "│  ")
            stack += [
                (child, inner, number == len(known) - 1)
                for number, child in reversed(list(enumerate(known)))
            ]

    def _label(self, name: str) -> str:
        found = self._modules.get(name)
        if found is None:
            return name
        module = found.definition
        return f"{name} ({module.kind}, {module.timing})"
