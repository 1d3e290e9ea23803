"""Plugins made in a test, and a kernel that has just those."""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import ChatProvider, Kernel, StartError, StreamingChunk, hookimpl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from dovetail import ChatRequest, ExecutionContext, Failure

PROVIDED = "providers"


class Echo(ChatProvider):
    """Repeats what it is told."""

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        yield StreamingChunk(text=request.messages[-1].text)


def plugin(**hooks: object) -> ModuleType:
    """A plugin: each keyword is a hook, with what it returns or the function that does."""
    module = ModuleType("made_in_a_test")
    for name, answer in hooks.items():
        setattr(module, name, hookimpl(_function(answer)))
    return module


def _function(answer: object) -> Any:
    if isinstance(answer, FunctionType):
        return answer

    def hook() -> object:
        return answer

    return hook


def kernel_with(config: Mapping[str, object] | Path, /, **plugins: object) -> Kernel:
    """A kernel, not yet open, that knows only `plugins`, by id; the environment is empty."""
    kernel = Kernel.open(config, env={}, discover_installed=False)
    for plugin_id, made in plugins.items():
        kernel.register(plugin_id, made, version="1.0")
    return kernel


async def refusal(kernel: Kernel) -> StartError:
    """What the start of `kernel` raises."""
    with pytest.raises(StartError) as caught:
        await kernel.start()
    return caught.value


async def only_failure(kernel: Kernel) -> Failure:
    """The one failure for which `kernel` does not start."""
    error = await refusal(kernel)
    assert not error.problems, str(error)
    (failure,) = error.failures
    return failure
