"""The models that `[chat]` names: their instances are there when the kernel starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import ConfigError, EmbeddingProvider
from tests.support.plugins import Echo, kernel_with, plugin, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail import Problem


class Vectors(EmbeddingProvider):
    async def embed(self, request: object, context: object) -> object:  # type: ignore[override]
        raise AssertionError


class Failing(Echo):
    async def start(self) -> None:
        raise OSError


PLUGINS = {
    "llamacpp": plugin(providers=[Echo]),
    "vectors": plugin(providers=[Vectors]),
    "failing": plugin(providers=[Failing]),
}


async def mistakes(text: str, folder: Path) -> list[Problem]:
    file = folder / "dovetail.toml"
    file.write_text(text)
    error = await refusal(kernel_with(file, **PLUGINS))
    assert isinstance(error, ConfigError)
    return list(error.problems)


async def test_an_instance_that_is_not_there_is_told_with_its_line_and_the_nearest(
    tmp_path: Path,
) -> None:
    text = '[chat]\nmodel = "lamacpp/smollm2"\n[providers.llamacpp]\n[providers.vectors]\n'
    (problem,) = await mistakes(text, tmp_path)
    assert problem.where == f"{tmp_path}/dovetail.toml:2 [chat] model"
    assert problem.message == "there is no provider instance `lamacpp`"
    assert problem.hint == (
        'did you mean "llamacpp/smollm2"? The instances are: `llamacpp`, `vectors`'
    )


@pytest.mark.parametrize(
    ("chat", "message", "hint"),
    [
        (
            'model = "vectors/x"',
            "the instance `vectors` does not chat",
            "the instances that do are: `llamacpp`",
        ),
        (
            'embedding_model = "llamacpp"',
            "the instance `llamacpp` does not embed",
            "the instances that do are: `vectors`",
        ),
        (
            'embedding_model = "zzz/x"',
            "there is no provider instance `zzz`",
            "The instances are: `llamacpp`, `vectors`",
        ),
    ],
)
async def test_an_instance_of_another_kind_or_none_is_met_with_those_that_are(
    chat: str, message: str, hint: str, tmp_path: Path
) -> None:
    text = f"[chat]\n{chat}\n[providers.llamacpp]\n[providers.vectors]\n"
    (problem,) = await mistakes(text, tmp_path)
    assert (problem.message, problem.hint) == (message, hint)


async def test_where_there_is_no_instance_at_all_it_says_how_to_add_one(tmp_path: Path) -> None:
    (problem,) = await mistakes('[chat]\nmodel = "llamacpp/x"\n', tmp_path)
    assert problem.hint == "there are none: add a table [providers.llamacpp]"


async def test_an_instance_that_is_out_of_order_is_no_mistake_in_the_config() -> None:
    config = {
        "chat": {"model": "failing/x", "embedding_model": "absent"},
        "providers": {
            "llamacpp": {},
            "failing": {"optional": True},
            "absent": {"optional": True},
        },
    }
    async with kernel_with(config, **PLUGINS) as kernel:
        assert len(kernel.quarantined) == 2


async def test_mistakes_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = '[providers.llamacpp]\nx = 1\n[chat]\nmodel = "zzz"\nanswer_tokens = "few"\n'
    found = await mistakes(text, tmp_path)
    assert [problem.where.partition(" ")[0][-2:] for problem in found] == [":2", ":4", ":5"]
