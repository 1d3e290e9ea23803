"""`dovetail models` and `dovetail embed`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions

COUNTER = """\
from dovetail import EmbeddingProvider, EmbeddingResponse, hookimpl

class Counter(EmbeddingProvider):
    async def models(self):
        raise RuntimeError("nobody knows")
    async def embed(self, request, context):
        return EmbeddingResponse(embeddings=[[float(len(text)), 0.5] for text in request.input])

@hookimpl
def providers():
    return [Counter]
"""


@pytest.fixture(autouse=True)
def counter(parrot: Distributions, folder: Path) -> None:
    parrot.add("counter", COUNTER)
    with (folder / "dovetail.toml").open("a") as config:
        config.write("[providers.counter]\n")


def test_models_of_all_instances_are_listed(dovetail: Command) -> None:
    done = dovetail("models")
    assert done.code == 0
    assert done.out == "parrot/grey  chat  4,096 tokens, talks\nparrot/ara   chat\n"
    assert "counter" in done.err
    assert "nobody knows" in done.err


def test_models_are_there_as_json(dovetail: Command) -> None:
    models = dovetail("models", "--json").json
    assert [model["id"] for model in models] == ["parrot/grey", "parrot/ara"]
    assert models[0]["context_window"] == 4096


def test_each_text_and_each_line_has_its_vector(dovetail: Command) -> None:
    done = dovetail("embed", "a", "bb", stdin=b"ccc\r\ndddd\n\n")
    assert done.code == 0
    vectors = [json.loads(line) for line in done.out.splitlines()]
    assert vectors == [[1.0, 0.5], [2.0, 0.5], [3.0, 0.5], [4.0, 0.5]]
    assert dovetail("embed", "a", "--json").json["embeddings"] == [[1.0, 0.5]]


def test_an_empty_text_or_line_is_named(dovetail: Command) -> None:
    text = dovetail("embed", "a", " ")
    assert (text.code, text.err) == (
        2,
        "dovetail: text 2 is empty, which has no vector: leave it out\n",
    )
    line = dovetail("embed", stdin=b"a\n\nb\n")
    assert (line.code, line.out) == (2, "")
    assert "line 2 is empty" in line.err


def test_a_model_that_cannot_embed_is_refused(dovetail: Command) -> None:
    done = dovetail("embed", "a", "-m", "parrot")
    assert done.code == 1
    assert "`parrot` is no EmbeddingProvider" in done.err


def test_no_text_is_wrong_use(dovetail: Command) -> None:
    assert dovetail("embed").code == 2
    bad = dovetail("embed", stdin=b"ok\n\xff")
    assert (bad.code, "byte 0xff at offset 3" in bad.err) == (2, True)
