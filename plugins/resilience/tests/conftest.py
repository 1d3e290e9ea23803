"""A kernel with the middleware `resilience` around three fake models, on a clock that jumps."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

import dovetail_resilience
from dovetail import Kernel
from dovetail.testing import fake_plugin, plugin_of
from plugins.resilience.tests.asking import Model, chat, embed, stream
from plugins.resilience.tests.virtual_time import VirtualLoop, loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from dovetail import Middleware
    from plugins.resilience.tests.asking import Ask, Open


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
def main() -> Model:
    """The model that is asked unless another is named."""
    return Model()


@pytest.fixture
def backup() -> Model:
    return Model()


@pytest.fixture
def third() -> Model:
    return Model()


@pytest.fixture
def running(main: Model, backup: Model, third: Model) -> Open:
    """A kernel around `main`, `backup` and `third`; `more` middleware stands further in."""

    @asynccontextmanager
    async def opened(*more: type[Middleware], **settings: Any) -> AsyncIterator[Kernel]:
        config = {
            "chat": {"model": "main/one", "embedding_model": "main/one"},
            "providers": {"main": {}, "backup": {}, "third": {}},
            "middleware": [
                {"use": "resilience", **settings},
                *({"use": f"more:{cls.name}"} for cls in more),
            ],
        }
        kernel = Kernel.open(config, env={}).register("resilience", dovetail_resilience)
        for name, model in (("main", main), ("backup", backup), ("third", third)):
            kernel.register(name, fake_plugin(model))
        if more:
            kernel.register("more", plugin_of(*more))
        loop().jump(on=False)
        async with kernel:
            loop().jump(on=True)
            yield kernel

    return opened


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What was logged."""
    with capture_logs() as captured:
        yield captured


@pytest.fixture(params=[chat, stream, embed], ids=["chat", "stream", "embed"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Each way to ask a model for something."""
    way: Ask = request.param
    return way
