"""Laying the config's layers over each other: flag, environment, project file, user file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dovetail.config import environment
from dovetail.config.files import (
    FILE_NAME,
    ConfigFile,
    find_project_file,
    read_file,
    shown,
    user_file_path,
)
from dovetail.config.interpolation import Expansion, Interpolation
from dovetail.config.nearest import nearest
from dovetail.config.places import TABLES, dotted
from dovetail.config.raw import Origin, RawConfig
from dovetail.errors import ConfigError, ConfigNotFound, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from dovetail.config.places import KeyPath

MAX_DEPTH = 50
"""Tables and lists may lie this deep within each other."""

_NO_OVERRIDES: Mapping[str | tuple[str, ...], object] = {}


def read_config(
    source: str | os.PathLike[str] | Mapping[str, object] | None = None,
    *,
    overrides: Mapping[str | tuple[str, ...], object] = _NO_OVERRIDES,
    env: Mapping[str, str] | None = None,
    user_file: str | os.PathLike[str] | None = None,
) -> RawConfig:
    """Read every layer and give what they say together, the higher layer winning key by key.

    `source` is the project's file; without it, the nearest `dovetail.toml` from the current folder
    upwards. A mapping stands in place of both files. `overrides` are flags: dotted paths (or
    tuples, for keys with a dot in them) and values, of which `None` means that the flag was not
    given. `env` is `os.environ` unless given. `user_file` is the user's own file, by default
    `$DOVETAIL_CONFIG_HOME/config.toml`, else `$XDG_CONFIG_HOME/dovetail/config.toml`, else
    `~/.config/dovetail/config.toml`.

    Raises `ConfigNotFound` if there is no file, and `ConfigError` for files that cannot be read.
    Mistakes in variables and in `${…}` do not raise here; they are in `RawConfig.problems`.
    """
    env = os.environ if env is None else env
    stack = _Stack()
    files: tuple[ConfigFile, ...] = ()
    if isinstance(source, Mapping):
        stack.lay(stack.tables, source, Origin("mapping"))
    else:
        read = _read_files(source, user_file, env)
        for file, tables in reversed(read):
            stack.lay(stack.tables, tables, Origin(file.layer, str(file.path)))
        files = tuple(file for file, _ in read)
    stack.lay_environment(env)
    for key, value in overrides.items():
        if value is not None:
            path = tuple(key.split(".")) if isinstance(key, str) else key
            stack.put(path, value, Origin("flag", dotted(path)))
    return _interpolate(stack, files, env)


def _read_files(
    source: str | os.PathLike[str] | None,
    user_file: str | os.PathLike[str] | None,
    env: Mapping[str, str],
) -> list[tuple[ConfigFile, dict[str, object]]]:
    """The project's and the user's file with what they say, whichever there are."""
    project = find_project_file() if source is None else Path(source)
    user = user_file_path(env) if user_file is None else Path(user_file)
    for given, path in ((source, project), (user_file, user)):
        if given is not None and path is not None and not path.exists():
            raise ConfigNotFound([Problem("there is no such config file", shown(path))])
    if project is None and not os.path.lexists(user):
        raise ConfigNotFound([_nothing_found(user)])
    results = []
    if project is not None:
        results.append(read_file(project, "project"))
    if os.path.lexists(user) and user != project:
        results.append(read_file(user, "user"))
    if problems := [result for result in results if isinstance(result, Problem)]:
        raise ConfigError(problems)
    return [result for result in results if not isinstance(result, Problem)]


def _nothing_found(user: Path) -> Problem:
    return Problem(
        f"there is no config file: no {FILE_NAME} in the current folder or one above it, "
        f"and no {user}",
        hint="run `dovetail init` to write one",
    )


class _Stack:
    """The layers laid so far, from the lowest up."""

    def __init__(self) -> None:
        self.tables: dict[str, object] = {}
        self.origins: dict[KeyPath, Origin] = {}
        self.problems: list[Problem] = []

    def lay(
        self,
        table: dict[str, object],
        values: Mapping[Any, object],
        origin: Origin,
        path: KeyPath = (),
    ) -> None:
        """Lay `values` over `table`, the one at `path`: tables merge, the rest replaces."""
        for key, value in values.items():
            here = (*path, key)
            below = table.get(key)
            if not isinstance(key, str):
                self._refuse(f"the key {key!r} should be text", path, origin)
            elif isinstance(value, Mapping) and isinstance(below, dict):
                # A key that is missing is looked for in the file that has the table.
                if origin.layer not in {"environment", "flag"}:
                    self.origins[here] = origin
                self.lay(below, value, origin, here)
            else:
                self._forget(here)
                table[key] = self._copy(value, origin, here)

    def lay_environment(self, env: Mapping[str, str]) -> None:
        """Lay every `DOVETAIL__…` variable over what is there."""
        for wrong, right in environment.misspelt_names(env, TABLES):
            message = "sets nothing: the word DOVETAIL is followed by two underscores"
            place = f"environment variable {wrong}"
            self.problems.append(Problem(message, place, f"did you mean {right}?"))
        set_by: dict[KeyPath, str] = {}
        for name in environment.override_names(env):
            origin = Origin("environment", name)
            try:
                path = environment.key_path(name, self.tables)
                value = environment.value_of(env[name])
            except ValueError as error:
                self.problems.append(Problem(str(error), f"environment variable {name}"))
                continue
            if path in set_by:
                self._refuse(f"sets {dotted(path)}, and so does {set_by[path]}", path, origin)
            else:
                set_by[path] = name
                self.put(path, value, origin)

    def put(self, path: tuple[str, ...], value: object, origin: Origin) -> None:
        """Set one value, making the tables on the way to it."""
        level: object = self.tables
        for depth, key in enumerate(path[:-1], 1):
            level = level.get(key, {}) if isinstance(level, dict) else level
            if not isinstance(level, dict):
                is_what = "a list" if isinstance(level, list) else "a single value"
                message = f"sets {dotted(path)}, but {dotted(path[:depth])} is {is_what}"
                self._refuse(message, path, origin)
                return
        nested: object = value
        for key in reversed(path):
            nested = {key: nested}
        if isinstance(nested, dict):
            self.lay(self.tables, nested, origin)

    def _copy(self, value: object, origin: Origin, path: KeyPath) -> object:
        """A copy of `value` that is ours, with the origin of everything in it noted."""
        self.origins[path] = origin
        if len(path) > MAX_DEPTH and isinstance(value, Mapping | list | tuple):
            self._refuse(f"lies more than {MAX_DEPTH} tables deep", path[:3], origin)
            return None
        if isinstance(value, Mapping):
            table: dict[str, object] = {}
            self.lay(table, value, origin, path)
            return table
        if isinstance(value, list | tuple):
            return [self._copy(item, origin, (*path, i)) for i, item in enumerate(value)]
        return value

    def _forget(self, path: KeyPath) -> None:
        """Drop the origins of what is about to be replaced."""
        if path in self.origins:
            for old in [old for old in self.origins if old[: len(path)] == path]:
                del self.origins[old]

    def _refuse(self, message: str, path: KeyPath, origin: Origin) -> None:
        name = {"environment": "environment variable", "flag": "flag"}.get(origin.layer, "")
        place = f"{name} {origin.source}" if name else f"{origin.source} {dotted(path)}"
        self.problems.append(Problem(message, place.strip()))


def _interpolate(stack: _Stack, files: tuple[ConfigFile, ...], env: Mapping[str, str]) -> RawConfig:
    """Expand the references in everything that does not itself come from the environment."""

    def from_environment(path: KeyPath) -> bool:
        return stack.origins[path].layer == "environment"

    interpolation = Interpolation(env, skip=from_environment)
    interpolation.run(stack.tables)
    failed = interpolation.failed
    raw = RawConfig(stack.tables, stack.origins, interpolation.found, files)
    problems = [
        problem
        for path, expansion in failed.items()
        for problem in _reference_problems(raw.where(path), expansion, env)
    ]
    return replace(raw, problems=(*stack.problems, *problems), failed=frozenset(failed))


def _reference_problems(where: str, expansion: Expansion, env: Iterable[str]) -> Iterable[Problem]:
    for name in expansion.unset:
        near = nearest(name, env)
        meant = f"did you mean `${{{near}}}`? else " if near else ""
        hint = f"{meant}set {name}, or write a default: `${{{name}:-default}}`"
        yield Problem(f"the environment variable {name} is not set", where, hint)
    for _ in expansion.malformed:
        yield Problem(
            "has a `${` that begins no reference",
            where,
            "write `${NAME}` or `${NAME:-default}`, without a reference in the default; "
            "`$${` stands for `${` itself",
        )
