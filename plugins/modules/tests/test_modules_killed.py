"""A process that dies between the answer and what follows it: the conversation goes on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from textwrap import dedent
from typing import TYPE_CHECKING

from tests.support.processes import unmeasured

if TYPE_CHECKING:
    from pathlib import Path

    from plugins.modules.tests.world import World

CONFIG = """\
[chat]
model = "fake/main"
persona = "sage"

[personas.sage]
template = "<@count> <@learnt>"

[providers.fake]

[plugins.modules]

[plugins.scripts]

[plugins.deaths]

[sessions]
use = "sqlite"
path = "sessions.db"
"""
HOST = """\
import asyncio, os, sys
from dovetail import Kernel, Stage, StageExecutor
from dovetail.testing import FakeModel, fake_plugin, plugin_of

class Dies(StageExecutor):
    stage = Stage.POST_RESPONSE
    priority = -1
    async def execute(self, turn):
        if sys.argv[1] == "dies":
            os._exit(9)

async def main():
    model = FakeModel(*sys.argv[2:])
    kernel = Kernel.open("dovetail.toml", env={}).register("fake", fake_plugin(model))
    async with kernel.register("deaths", plugin_of(Dies)):
        print((await kernel.chat("Hello", session="s")).text)
        print(model.requests[0].messages[0].text)
        print(len(model.requests[0].messages))

asyncio.run(main())
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "host.py", *words],
        cwd=folder,
        env=unmeasured(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def let_half_a_minute_pass(database: Path) -> None:
    """After that, nobody waits for the dead process to end its turn."""
    with closing(sqlite3.connect(database)) as opened, opened:
        assert opened.execute("DELETE FROM leases").rowcount == 1


def test_a_process_killed_after_the_answer_loses_only_what_was_to_follow(world: World) -> None:
    world.write(
        count_py="n = get_state('n', 0) + 1\nset_state('n', n)\nn\n",
        learnt_md='+++\nkind = "ai"\ntiming = "post_response"\ninitial = "-"\n+++\n${response}',
    )
    (world.folder / "dovetail.toml").write_text(CONFIG, encoding="utf-8")
    (world.folder / "host.py").write_text(dedent(HOST), encoding="utf-8")
    first = run(world.folder, "lives", "one", "wood")
    assert (first.returncode, first.stdout) == (0, "one\n<1> <->\n2\n"), first.stderr
    assert run(world.folder, "dies", "two").returncode == 9
    let_half_a_minute_pass(world.folder / "sessions.db")
    third = run(world.folder, "lives", "three", "joints")
    # The answer was kept before its process died; the state is that of the turn before.
    assert (third.returncode, third.stdout) == (0, "three\n<2> <wood>\n6\n"), third.stderr
    last = run(world.folder, "lives", "four", "x")
    assert last.stdout == "four\n<3> <joints>\n8\n"
