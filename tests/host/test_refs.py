"""A `Ref` in settings: text in the config, a component when it runs."""

# No `from __future__ import annotations`: the annotations of settings are evaluated.

import pytest
from pydantic import BaseModel

from dovetail import ChatProvider, DovetailError, EmbeddingProvider, Ref, Settings
from tests.support.plugins import Echo, kernel_with, plugin


class Inner(BaseModel):
    model: Ref[ChatProvider]


class Deep(Settings):
    one: Ref[ChatProvider] | None = None
    listed: list[Inner] = []
    table: dict[str, tuple[Ref[ChatProvider], ...]] = {}
    untyped: Ref | None = None  # type: ignore[type-arg]


class Finding(Echo):
    settings: Deep
    found: list[object]

    async def start(self) -> None:
        values = self.settings
        refs = [values.one, values.untyped, *(inner.model for inner in values.listed)]
        refs += [ref for row in values.table.values() for ref in row]
        type(self).found = [ref.target.instance for ref in refs if ref is not None]


async def test_references_are_found_wherever_settings_hold_them() -> None:
    config = {
        "providers": {
            "p": {
                "one": "a/model",
                "untyped": "b",
                "listed": [{"model": "c"}],
                "table": {"x": ["d", "e"]},
            },
            **{name: {"use": "echo"} for name in "abcde"},
        }
    }
    kernel = kernel_with(config, p=plugin(providers=[Finding]), echo=plugin(providers=[Echo]))
    async with kernel:
        assert Finding.found == ["a", "b", "c", "d", "e"]


def test_a_reference_reads_and_writes_as_text() -> None:
    deep = Deep.model_validate({"one": "ollama/llama3.2/8b", "listed": [{"model": "x"}]})
    assert deep.one is not None
    assert (deep.one.instance, deep.one.model) == ("ollama", "llama3.2/8b")
    dumped = deep.model_dump(mode="json")
    assert (dumped["one"], dumped["listed"]) == ("ollama/llama3.2/8b", [{"model": "x"}])
    assert "ollama/llama3.2/8b" in repr(deep)
    properties = Deep.model_json_schema()["properties"]
    assert {"type": "string", "minLength": 1} in properties["one"]["anyOf"]


def test_references_to_the_same_are_equal() -> None:
    assert Ref("a/b", ChatProvider) == Ref("a/b")
    assert len({Ref("a/b"), Ref("a/b"), Ref("a")}) == 2
    assert Ref("a") != "a"


def test_a_reference_has_no_target_before_the_start() -> None:
    with pytest.raises(DovetailError, match="`a/b` is not bound yet"):
        Ref("a/b", EmbeddingProvider).target  # noqa: B018 - reading it is the test
