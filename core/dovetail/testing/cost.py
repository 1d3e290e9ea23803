"""What importing a plugin costs and drags in, seen in a fresh interpreter."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from importlib_metadata import Distribution, PackageNotFoundError, packages_distributions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CHILD = """
import importlib, importlib.util, json, sys, time
name, file, path = json.loads(sys.argv[1])
sys.path[:] = path
started = time.perf_counter()
import dovetail.kernel
base = time.perf_counter() - started
before = set(sys.modules)
started = time.perf_counter()
if file:
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
else:
    importlib.import_module(name)
took = time.perf_counter() - started
new = set(sys.modules) - before
real = [n for n in new if getattr(sys.modules[n], "__spec__", None) is not None]
print("\\n" + json.dumps([base, took, len(new), sorted({n.partition(".")[0] for n in real})]))
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class ImportCost:
    """What one import took."""

    module: str
    base_seconds: float
    """What importing the kernel takes, before."""
    seconds: float
    """What importing the plugin takes on top."""
    modules: int
    """How many modules that loads."""
    packages: tuple[str, ...]
    """The top-level packages it brings that nobody expects of it."""

    def __str__(self) -> str:
        """One line for a person."""
        brings = f", among them {', '.join(self.packages)}" if self.packages else ""
        return (
            f"importing `{self.module}` takes {self.seconds * 1000:.0f} ms on top of the kernel's "
            f"{self.base_seconds * 1000:.0f} ms and loads {self.modules} modules{brings}"
        )


def import_cost(
    plugin: object, module: str, env: Mapping[str, str], *, again: bool = False
) -> ImportCost | None:
    """Import the plugin in a fresh interpreter, with `env` on top of the environment.

    `module` is where it is if it is installed. None if it was made by hand and has no module.
    Once for each module, since a contract's tests and subclasses all ask, unless `again`.

    Raises:
        AssertionError: it cannot be imported there; with what the interpreter said.
    """
    name, file = module.partition(":")[0], ""
    if not name:
        spec = getattr(plugin, "__spec__", None)
        if spec is None:
            return None
        name = spec.name
        if not _importable(name):
            file = spec.origin or ""
    run = _run if again else _run_once
    base, took, loaded, packages = run(name, file, tuple(sorted(env.items())))
    own = name.partition(".")[0]
    strange = [p for p in packages if p not in sys.stdlib_module_names and p != own]
    return ImportCost(name, base, took, loaded, tuple(sorted(set(strange) - kernel_packages())))


def _run(name: str, file: str, env: tuple[tuple[str, str], ...]) -> tuple[float, float, int, Any]:
    path = [entry or os.getcwd() for entry in sys.path]  # noqa: PTH109 - as the interpreter means it
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps([name, file, path])],
        env={**os.environ, **dict(env)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        message = f"`{name}` cannot be imported in an interpreter of its own:\n{done.stderr}"
        raise AssertionError(message)
    answer: tuple[float, float, int, Any] = tuple(json.loads(done.stdout.splitlines()[-1]))
    return answer


_run_once = lru_cache(maxsize=64)(_run)


@lru_cache(maxsize=1)
def kernel_packages() -> frozenset[str]:
    """The top-level packages of dovetail and of everything it depends on."""
    wanted = {"dovetail"}
    queue = ["dovetail"]
    while queue:
        for needed in _requirements(queue.pop()) - wanted:
            wanted.add(needed)
            queue.append(needed)
    return frozenset(
        package
        for package, owners in packages_distributions().items()
        if any(_canonical(owner) in wanted for owner in owners)
    ) | {"dovetail"}


def _requirements(distribution: str) -> set[str]:
    """The distributions it needs, those of its extras not counted."""
    try:
        lines: Iterable[str] = Distribution.from_name(distribution).requires or ()
    except PackageNotFoundError:
        return set()  # an optional one, or one for another system
    plain = (line for line in lines if not re.search(r";.*\bextra\b", line))
    return {_canonical(found[0]) for line in plain if (found := _NAME.match(line))}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
