"""A kernel with a fake model and the middleware `logging`, and what it wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dovetail_logging
from dovetail import ChatProvider, EventProvider, Kernel, Middleware
from dovetail.testing import FakeModel, fake_plugin, plugin_of

Open = Callable[..., Kernel]
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "chat.log"


@pytest.fixture
def lines(log: Path) -> Lines:
    """The lines of the log, each read as JSON."""
    return lambda: [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def open_kernel(model: FakeModel) -> Open:
    """Makes a kernel of tables for `logging` and of what else takes part, further in."""

    def make(*tables: dict[str, object], more: tuple[type, ...] = ()) -> Kernel:
        parts = [cls for cls in more if issubclass(cls, Middleware)]
        providers = [cls for cls in more if issubclass(cls, (ChatProvider, EventProvider))]
        config = {
            "chat": {"model": "fake/fake-1", "embedding_model": "fake/fake-1"},
            "providers": {"fake": {}}
            | {cls.name: {"use": f"more:{cls.name}"} for cls in providers},
            "middleware": [
                *({"use": "logging", **table} for table in tables),
                *({"use": f"more:{cls.name}"} for cls in parts),
            ],
        }
        kernel = Kernel.open(config, env={}).register("fake", fake_plugin(model))
        if more:
            kernel.register("more", plugin_of(*more))
        return kernel.register("logging", dovetail_logging)

    return make
