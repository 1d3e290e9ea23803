"""Everything that is wrong with the modules of a kernel, at once."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from dovetail import DovetailError, ModelNotFound, Problem
from dovetail_modules.definition import ModuleKind
from dovetail_modules.execution.script_executor import NO_ENGINE
from dovetail_modules.graph import graph_of
from dovetail_modules.template_parser import TemplateParser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dovetail_modules.component import Modules
    from dovetail_modules.plan import Cut
    from dovetail_modules.sourced import Snapshot, SourcedModule


async def all_problems(shared: Modules, personas: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the modules, and with the templates of `personas`, which are by name."""
    snapshot = await shared.catalogue.current()
    problems = [broken.problem for broken in snapshot.broken]
    problems += _references(snapshot, personas, shared.settings.max_depth)
    for module in snapshot.modules.values():
        problems += await _script(shared, module)
        problems += _model(shared, module)
    return list(dict.fromkeys(problems))


def shadowed(snapshot: Snapshot) -> list[str]:
    """A line for each module that another of its name hides."""
    return [
        f"{hidden.where}: `{hidden.definition.name}` is hidden by that of {used.where}"
        for used, hidden in snapshot.shadowed
    ]


def _references(snapshot: Snapshot, personas: Mapping[str, str], depth: int) -> Iterator[Problem]:
    everything = "".join(f"@{{{name}}}" for name in snapshot.modules)
    for persona, template in {**personas, "": everything}.items():
        graph = graph_of(template, snapshot, persona, depth)
        for cut in graph.cuts.values():
            if cut.reason and (persona or cut.referrer):
                yield _cut(cut, persona, snapshot, personas)
    for found in snapshot.modules.values():
        for persona in found.definition.personas:
            if persona not in personas:
                message = f"it is for a persona `{persona}`, which there is not"
                yield Problem(message, found.where, _near(persona, personas))


def _cut(cut: Cut, persona: str, snapshot: Snapshot, personas: Mapping[str, str]) -> Problem:
    text, where, first = personas.get(persona, ""), f"[personas.{persona}]", 0
    if cut.referrer:
        referrer = snapshot.modules[cut.referrer]
        text, where, first = referrer.definition.content, referrer.where, referrer.first_line
    line = TemplateParser().parse(text).line_of(cut.name)
    if not cut.referrer:
        where = f"{where} template, line {line}"
    elif first and where.endswith(".md"):
        where = f"{where}:{first + line - 1}"
    message = f"`@{cut.name}`: {cut.reason}"
    hint = _near(cut.name, snapshot.modules) if cut.kind == "missing" else ""
    return Problem(message, where, hint)


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean `{close[0]}`?" if close else ""


async def _script(shared: Modules, found: SourcedModule) -> list[Problem]:
    module = found.definition
    if module.kind is not ModuleKind.SCRIPT:
        return []
    engine = shared.engine()
    if engine is None:
        return [Problem(f"`{module.name}` cannot run", found.where, NO_ENGINE)]
    try:
        return [
            Problem(problem.message, f"{found.where}, {problem.where}", problem.hint)
            for problem in await engine.check(module.script, module.name)
        ]
    except DovetailError as error:
        return [Problem(str(error), found.where)]


def _model(shared: Modules, found: SourcedModule) -> list[Problem]:
    module = found.definition
    if not module.model:
        return []
    try:
        shared.kernel.generation.find_chat(module.model)
    except ModelNotFound as error:
        return [Problem(str(error), f"{found.where} model")]
    return []
