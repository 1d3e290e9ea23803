"""`dovetail init`: a first config from what is installed."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions

MANY = '''
from dovetail import (
    ChatProvider, EmbeddingProvider, EmbeddingResponse, MemorySessionStore, Middleware,
    StreamingChunk, Suggestion, hookimpl,
)

class Base(ChatProvider):
    async def send_message_stream(self, request, context):
        yield StreamingChunk(text=request.messages[-1].text)

class Many(Base):
    """Comes later."""
    @classmethod
    def suggestion(cls):
        return Suggestion(model="big", rank=30)

class Other(Base):
    @classmethod
    def suggestion(cls):
        odd = {"text": 'a "quoted" \\\\ é\\n\\x7f', "list": [1, 2.5, True], "nested": {"a b": "c"}}
        return Suggestion(values=odd, rank=1, comment="two\\nlines")

class Silent(Base):
    pass

class Vectors(EmbeddingProvider):
    async def embed(self, request, context):
        return EmbeddingResponse(embeddings=[[1.0] for _ in request.input])
    @classmethod
    def suggestion(cls):
        return Suggestion(model="small")

class Inner(Middleware):
    async def before_chat(self, call):
        return call
    @classmethod
    def suggestion(cls):
        return Suggestion(rank=20)

class Outer(Inner):
    @classmethod
    def suggestion(cls):
        return Suggestion(values={}, rank=10)

class Faulty(Inner):
    @classmethod
    def suggestion(cls):
        raise ValueError("no idea")

class Store(MemorySessionStore):
    name = "store"
    @classmethod
    def suggestion(cls):
        return Suggestion()

@hookimpl
def providers():
    return [Many, Other, Silent, Vectors]

@hookimpl
def middleware():
    return [Inner, Outer, Faulty]

@hookimpl
def session_stores():
    return [Store]
'''


def written(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "dovetail.toml").read_text())


@pytest.fixture
def empty(parrot: Distributions, folder: Path) -> Distributions:
    """The parrot is installed; there is no config."""
    (folder / "dovetail.toml").unlink()
    return parrot


def test_what_suggests_itself_is_written(
    dovetail: Command, empty: Distributions, folder: Path
) -> None:
    empty.add("many", MANY)
    done = dovetail("init")
    assert (done.code, done.out) == (0, "")
    assert "`many:faulty`, its `suggestion()` failed: ValueError: no idea" in done.err
    assert "the model is parrot/grey" in done.err
    assert written(folder) == {
        "chat": {"model": "parrot/grey", "embedding_model": "vectors/small"},
        "providers": {
            "other": {
                "use": "many:other",
                "text": 'a "quoted" \\ é\n\x7f',
                "list": [1, 2.5, True],
                "nested": {"a b": "c"},
            },
            "parrot": {"prefix": ""},
            "many": {},
            "vectors": {"use": "many:vectors"},
        },
        "middleware": [{"use": "many:outer"}, {"use": "many:inner"}],
        "sessions": {"use": "many"},
    }
    text = (folder / "dovetail.toml").read_text()
    assert "# a bird\n[providers.parrot]\n" in text
    assert "# two\n# lines\n[providers.other]\n" in text
    assert dovetail("config", "check", "--set", "providers.other.use=many:many").code == 1


def test_what_it_writes_is_right(dovetail: Command, empty: Distributions) -> None:
    assert dovetail("init").code == 0
    assert dovetail("config", "check").code == 0
    assert dovetail("chat", "hi").out == "hi\n"


def test_a_broken_plugin_is_left_out_by_name(
    dovetail: Command, empty: Distributions, folder: Path
) -> None:
    empty.add("bad", "raise RuntimeError('api_key=abcdefgh')")
    last_words = "print('token=abcdefgh bye', file=sys.stderr, flush=True)"
    empty.add("deadly", f"import os, sys; {last_words}; os._exit(3)")
    done = dovetail("init")
    assert done.code == 0
    assert "left out: plugin `bad` (dovetail-bad 1.0) failed at import" in done.err
    assert "plugin `deadly` (dovetail-deadly): its process died with 3: token=*** bye" in done.err
    assert "abcdefgh" not in done.err
    assert written(folder)["chat"] == {"model": "parrot/grey"}


def test_with_nothing_to_talk_to_it_says_what_to_do(
    dovetail: Command, installed: Distributions, folder: Path
) -> None:
    done = dovetail("init")
    assert done.code == 0
    assert "install one with pip" in done.err
    assert written(folder) == {}
    assert '# model = "NAME/MODEL"' in (folder / "dovetail.toml").read_text()
    chat = dovetail("chat", "hi")
    assert chat.code == 1
    assert "no model was named" in chat.err


def test_it_overwrites_nothing_unless_told_to(
    dovetail: Command, empty: Distributions, folder: Path
) -> None:
    (folder / "dovetail.toml").write_text("# mine\n")
    done = dovetail("init")
    assert done.code == 1
    assert "dovetail.toml: is there already" in done.err
    assert (folder / "dovetail.toml").read_text() == "# mine\n"
    assert dovetail("init", "--force").code == 0
    assert written(folder)["chat"] == {"model": "parrot/grey"}


def test_another_file_can_be_named(dovetail: Command, empty: Distributions, folder: Path) -> None:
    assert dovetail("init", "other.toml").code == 0
    assert not (folder / "dovetail.toml").exists()
    assert dovetail("chat", "hi", "-c", "other.toml").out == "hi\n"
    missing = dovetail("init", "no/such/folder.toml")
    assert (missing.code, "cannot be written: No such file" in missing.err) == (1, True)
