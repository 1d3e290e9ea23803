"""What modules cost: a template beside jinja2's, a turn that has none, and many that wait."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment

import dovetail_modules
import dovetail_scripts
from dovetail import (
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ExecutionContext,
    Kernel,
    hookimpl,
)
from dovetail_modules import ModuleDefinition, StagedModuleResolver
from tests.benchmarks.harness import Goal, Subject, compare, interleave, profile, timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.harness import Row, Step

ROUNDS = 15
TIMES = 300
MODULES = 20
WAIT = 0.1

THREE = Goal(3.0, "≤ 3")
TENTH = Goal(1.1, "≤ 1.1")
WITHIN = Goal(1.0, "≤ 1")
ABOUT = f"""\
A template with {MODULES} simple modules, resolved by `StagedModuleResolver` and rendered by jinja2
into the same text: "fixed" modules are text alone, beside {MODULES} variables of jinja2; "filled"
ones have a value each, beside {MODULES} values in the same places of one jinja2 template. Idle is a
turn with `[plugins.modules]` in the config whose persona names no module, or that has no persona,
beside the same turn without the plugin. {ROUNDS} rounds of {TIMES}. The modules that wait take
{WAIT * 1000:.0f} ms each, {MODULES} of them in one turn: AI modules whose model waits, and scripts
whose host function waits; beside 200 ms."""

NAMES = [f"m{number}" for number in range(MODULES)]
TEMPLATE = "You are Sage.\n" + "\n".join(f"- @{name}" for name in NAMES)
WORDS = "This is what module {} says to {}, and it is a sentence of the usual length."
TRIGGER = {"who": "Ada"}


class Whole(ChatProvider):
    """Answers at once."""

    async def send_message(self, request: ChatRequest, context: ExecutionContext) -> ChatResponse:
        """The answer."""
        return ChatResponse(message=ChatMessage.assistant("hello"))


class Waits(ChatProvider):
    """Answers after a while."""

    async def send_message(self, request: ChatRequest, context: ExecutionContext) -> ChatResponse:
        """The answer; at once, if it is not a module that asks."""
        if request.messages[-1].text != "hi":
            await asyncio.sleep(WAIT)
        return ChatResponse(message=ChatMessage.assistant("hello"))


@hookimpl
def providers() -> list[type[ChatProvider]]:
    """This module is a plugin."""
    return [Whole, Waits]


@hookimpl(optionalhook=True)
def script_functions() -> list[Callable[..., Any]]:
    """What scripts wait for."""

    async def fetch() -> str:
        await asyncio.sleep(WAIT)
        return "fetched"

    return [fetch]


async def measure() -> Subject:
    """Templates, idle turns, and modules that wait."""
    rows, profiles = await _templates()
    for part in (_idle, _waiting):
        more, text = await part()
        rows += more
        profiles |= text
    return Subject("Modules", ABOUT, rows, profiles)


async def _templates() -> tuple[list[Row], dict[str, str]]:
    fixed = _resolver([WORDS.format(name, "Ada") for name in NAMES])
    filled = _resolver([WORDS.format(name, "${trigger_context.who}") for name in NAMES])
    engine = Environment(autoescape=False)
    variables = "\n".join(f"- {{{{ {name} }}}}" for name in NAMES)
    names = engine.from_string(f"You are Sage.\n{variables}")
    texts = [f"- {WORDS.format(name, '{{ trigger_context.who }}')}" for name in NAMES]
    values = engine.from_string("You are Sage.\n" + "\n".join(texts))
    known = {name: WORDS.format(name, "Ada") for name in NAMES}

    async def jinja_names(_: int) -> str:
        return names.render(known)

    async def jinja_values(_: int) -> str:
        return values.render(trigger_context=TRIGGER)

    steps: dict[str, Step] = {
        "fixed": lambda _: fixed.resolve_template_stages_1_and_2(TEMPLATE),
        "filled": lambda _: filled.resolve_template_stages_1_and_2(
            TEMPLATE, trigger_context=TRIGGER
        ),
        "jinja names": jinja_names,
        "jinja values": jinja_values,
    }
    same = {
        (await fixed.resolve_template_stages_1_and_2(TEMPLATE)).resolved_template,
        (
            await filled.resolve_template_stages_1_and_2(TEMPLATE, trigger_context=TRIGGER)
        ).resolved_template,
        await jinja_names(0),
        await jinja_values(0),
    }
    assert len(same) == 1, same
    taken = await interleave({name: timed(step, TIMES) for name, step in steps.items()}, ROUNDS)
    rows = [
        compare(
            f"{MODULES} fixed modules", taken["fixed"], ("jinja2", taken["jinja names"]), THREE
        ),
        compare(
            f"{MODULES} filled modules", taken["filled"], ("jinja2", taken["jinja values"]), THREE
        ),
    ]
    profiles = {}
    for name, row in zip(("fixed", "filled"), rows, strict=True):
        if row.missed:
            profiles[f"{name} modules"] = await profile(steps[name], 3000)
    return rows, profiles


def _resolver(contents: list[str]) -> StagedModuleResolver:
    modules = [
        ModuleDefinition(name=name, content=content)
        for name, content in zip(NAMES, contents, strict=True)
    ]
    return StagedModuleResolver(modules=modules)


async def _idle() -> tuple[list[Row], dict[str, str]]:
    persona = {
        "chat": {"model": "whole", "persona": "sage"},
        "personas": {"sage": {"template": "You are Sage."}},
    }
    bare = {"chat": {"model": "whole"}}
    rows, profiles = [], {}
    for what, tables in (("no persona", bare), ("a persona of plain text", persona)):
        config = {**tables, "providers": {"whole": {"use": "bench:whole"}}}
        without = Kernel.open(config, env={}, discover_installed=False)
        loaded = Kernel.open(
            {**config, "plugins": {"modules": {"refresh": "1h"}}}, env={}, discover_installed=False
        )
        loaded.register("modules", dovetail_modules)
        for kernel in (without, loaded):
            kernel.register("bench", sys.modules[__name__])
        async with without, loaded:
            steps = {"without": _turn(without), "with": _turn(loaded)}
            samples = {name: timed(step, TIMES) for name, step in steps.items()}
            taken = await interleave(samples, ROUNDS)
            peer = ("without the plugin", taken["without"])
            row = compare(f"an idle turn, {what}", taken["with"], peer, TENTH)
            rows.append(row)
            if row.missed:
                profiles[row.what] = await profile(steps["with"], 2000)
    return rows, profiles


def _turn(kernel: Kernel) -> Step:
    return lambda _: kernel.chat("hi")


async def _waiting() -> tuple[list[Row], dict[str, str]]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            (Path(folder) / f"{name}.md").write_text('+++\nkind = "ai"\n+++\nWait!', "utf-8")
            (Path(folder) / f"s{name}.py").write_text("fetch()\n", "utf-8")
        for what, prefix in (("AI modules", "@"), ("scripts", "@s")):
            kernel = Kernel.open(
                {
                    "chat": {"model": "waits", "persona": "sage"},
                    "personas": {"sage": {"template": " ".join(prefix + name for name in NAMES)}},
                    "providers": {"waits": {"use": "bench:waits"}},
                    "plugins": {
                        "modules": {"folder": folder, "refresh": "1h"},
                        "scripts": {},
                    },
                },
                env={},
                discover_installed=False,
            )
            kernel.register("bench", sys.modules[__name__])
            kernel.register("modules", dovetail_modules).register("scripts", dovetail_scripts)
            async with kernel:
                taken = await interleave({"ours": timed(_turn(kernel), 1)}, ROUNDS)
            title = f"a turn with {MODULES} {what} of {WAIT * 1000:.0f} ms each"
            rows.append(compare(title, taken["ours"], ("is allowed", [0.2]), WITHIN))
    return rows, {}
