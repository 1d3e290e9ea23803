"""Engines to run scripts in, and functions for scripts to call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import dovetail_scripts
from dovetail import Kernel
from dovetail_scripts import ScriptEngine, ScriptExecutionContext, script_function

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import ModuleType

    from dovetail_scripts import ScriptExecutionResult

ENGINES = ["monty", "restricted"]


class Host:
    """The functions of a host, which note what they were asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answering = asyncio.Event()
        """Somebody waits for `slow`."""
        self.cancelled = 0
        self.secrets = {"a": [1]}

    @script_function(writes=True)
    async def generate(self, prompt: str, model: str = "") -> str:
        """An answer."""
        self.asked.append(prompt)
        return f"about {prompt[:20]}"

    @script_function
    async def slow(self) -> str:
        """No answer."""
        self.answering.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return ""

    @script_function
    def settings(self) -> dict[str, Any]:
        """Data of the host's own."""
        return self.secrets

    @script_function
    def bad(self) -> object:
        """What no script can get."""
        return object()

    def functions(self) -> dict[str, Callable[..., Any]]:
        """All of them."""
        names = ("generate", "slow", "settings", "bad")
        return {name: getattr(self, name) for name in names}


class Scripts:
    """Runs scripts in the engine of a kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.engine: ScriptEngine = kernel.services.get("script_engine")

    async def run(self, source: str, name: str = "mood", **given: Any) -> ScriptExecutionResult:
        """Run one; what is given goes into its context."""
        return await self.engine.run(source, ScriptExecutionContext(name, **given))


def opened(words: ModuleType | None = None, **settings: Any) -> Kernel:
    """A kernel with this plugin, and perhaps another whose id is `words`."""
    plugins: dict[str, Any] = {"scripts": settings, **({"words": {}} if words else {})}
    kernel = Kernel.open({"plugins": plugins}, env={}, discover_installed=False)
    if words is not None:
        kernel.register("words", words)
    return kernel.register("scripts", dovetail_scripts)


@pytest.fixture(scope="module", params=ENGINES)
async def scripts(request: pytest.FixtureRequest) -> AsyncIterator[Scripts]:
    """Each engine, one for all tests of a file."""
    async with opened(engine=request.param) as kernel:
        yield Scripts(kernel)


@pytest.fixture(scope="module")
async def monty() -> AsyncIterator[Scripts]:
    """The engine that a config without further words gives."""
    async with opened() as kernel:
        yield Scripts(kernel)


@pytest.fixture
def host() -> Host:
    """Functions to call."""
    return Host()
