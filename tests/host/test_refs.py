"""A `Ref` in settings: text in the config, a component when it runs."""

# No `from __future__ import annotations`: the annotations of settings are evaluated.

import pytest
from pydantic import BaseModel, Field

from dovetail import (
    ChatProvider,
    DovetailError,
    EmbeddingProvider,
    NotReady,
    Ref,
    Settings,
    SoftRef,
)
from tests.support.plugins import Echo, kernel_with, plugin, refusal
from tests.support.waiting import eventually


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


class SoftSettings(Settings):
    """One provider it can do without."""

    spare: SoftRef[ChatProvider] = Field(description="Asked where it is there.")


class Holder(Echo):
    """Has a spare."""

    settings: SoftSettings


async def test_a_soft_reference_is_there_when_its_instance_is() -> None:
    class Late(Echo):
        ready = False

        async def start(self) -> None:
            if not type(self).ready:
                message = "not yet"
                raise NotReady(message)

    tables = {
        "kernel": {"retry_interval": "10ms"},
        "providers": {"holder": {"spare": "late/model"}, "late": {"optional": True}},
    }
    plugins = {"holder": plugin(providers=[Holder]), "late": plugin(providers=[Late])}
    async with kernel_with(tables, **plugins) as kernel:
        holder = kernel.generation.providers["holder"]
        assert isinstance(holder, Holder)
        spare = holder.settings.spare
        assert not spare.available
        Late.ready = True
        await eventually(lambda: spare.available)
        assert spare.target is kernel.generation.providers["late"]


async def test_a_soft_reference_to_nothing_is_still_a_mistake() -> None:
    tables = {"providers": {"holder": {"spare": "nobody"}}}
    error = await refusal(kernel_with(tables, holder=plugin(providers=[Holder])))
    assert "there is no provider instance `nobody`" in str(error)
