"""`dovetail plugins doctor`: everything the config names, loaded and started."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions

PATIENT = """\
from dovetail import ChatProvider, NotReady, PluginError, StreamingChunk, hookimpl

class Base(ChatProvider):
    async def send_message_stream(self, request, context):
        yield StreamingChunk()

class Late(Base):
    async def start(self):
        raise NotReady("the server is not up, api_key=abcdefgh")

class Sticky(Base):
    async def stop(self):
        raise RuntimeError("it sticks")

@hookimpl
def providers():
    return [Late, Sticky]
"""


def test_all_is_well(dovetail: Command, parrot: Distributions) -> None:
    done = dovetail("plugins", "doctor")
    assert done.code == 0
    line = next(line for line in done.out.splitlines() if "[providers.parrot]" in line)
    state, _, distribution, version, import_ms, unit, start_ms, _ = line.split()
    assert (state, distribution, version, unit) == ("started", "dovetail-parrot", "1.0", "ms")
    assert float(import_ms) > 0
    assert float(start_ms) >= 0


def test_each_failure_comes_with_its_hint(
    dovetail: Command, parrot: Distributions, folder: Path
) -> None:
    parrot.add("patient", PATIENT)
    parrot.add("bad", "1 / 0")
    with (folder / "dovetail.toml").open("a") as config:
        config.write('[providers.late]\nuse = "patient:late"\noptional = true\n')
        config.write('[providers.sticky]\nuse = "patient:sticky"\n')
        config.write("[providers.bad]\n[providers.owl]\n[chatt]\n")
    done = dovetail("plugins", "doctor", "--json")
    assert done.code == 1
    told = done.json
    assert not told["healthy"]
    assert [problem["message"] for problem in told["problems"]] == ["there is no table `chatt`"]
    states = {
        c["table"]: (c["state"], c["failure"] and c["failure"]["stage"]) for c in told["components"]
    }
    assert states["[providers.parrot]"] == ("started", None)
    failures = {
        (c["plugin"], c["failure"]["stage"]): c["failure"]
        for c in told["components"]
        if c["failure"]
    }
    assert failures.keys() == {
        ("patient", "start"),
        ("patient", "stop"),
        ("bad", "import"),
        ("owl", "discover"),
    }
    assert failures["patient", "start"]["message"] == "the server is not up, api_key=***"
    assert "pip install dovetail-owl" in failures["owl", "discover"]["hint"]
    plain = dovetail("plugins", "doctor")
    assert plain.code == 1
    assert "failed at import: ZeroDivisionError" in plain.out
    assert "→ it is tried again in the background" in plain.out
    assert "there is no table `chatt`" in plain.out
