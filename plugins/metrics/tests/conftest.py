"""A kernel with a fake model and the event provider `metrics`."""

from collections.abc import Callable
from typing import Any

import pytest

import dovetail_metrics
from dovetail import Kernel
from dovetail.testing import FakeModel, fake_plugin, plugin_of

Open = Callable[..., Kernel]


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def open_kernel(model: FakeModel) -> Open:
    """Makes a kernel of settings for `metrics`, other event providers, and more of its config."""

    def make(
        *more: type[Any],
        providers: dict[str, Any] | None = None,
        sessions: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Kernel:
        config = {
            "chat": {"model": "fake/fake-1", "embedding_model": "fake/fake-1"},
            "providers": {
                "fake": {},
                "metrics": {"port": 0, **settings},
                **{cls.name: {"use": f"more:{cls.name}"} for cls in more},
                **(providers or {}),
            },
            "sessions": sessions or {},
        }
        kernel = Kernel.open(config, env={}).register("fake", fake_plugin(model))
        if more:
            kernel.register("more", plugin_of(*more))
        return kernel.register("metrics", dovetail_metrics)

    return make
