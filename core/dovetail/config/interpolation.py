"""`${NAME}` and `${NAME:-default}` in the config's text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dovetail.config.places import KeyPath

# A default ends at the first `}` and cannot hold another `${`, so no text is looked at twice.
_REFERENCE = re.compile(
    r"""\$(?:
        (?P<escape>\$)
      | \{(?P<name>[A-Za-z_][A-Za-z0-9_]*+)(?::-(?P<default>(?:[^}$]|\$\$|\$(?!\{))*+))?\}
      | (?P<malformed>\{)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Expansion:
    """What became of one text.

    `used` holds the values that came out of the environment, `unset` the names that are not there,
    `malformed` the beginning of each `${` that is no reference, `refers` whether there was any.
    """

    text: str = field(repr=False)
    used: tuple[str, ...] = field(default=(), repr=False)
    unset: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()
    refers: bool = False


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A value that came, at least in part, through references."""

    written: str
    """The text as it stands in the file, with its references."""
    used: tuple[str, ...] = field(repr=False)
    """The values of the environment variables in it: as secret as a secret can be."""


def expand(text: str, env: Mapping[str, str]) -> Expansion:
    """Replace each `${NAME}` in `text` by `env[NAME]`; `$$` becomes `$`, any other `$` stays.

    As in a shell, the default of `${NAME:-default}` also serves where the variable is empty.
    """
    used: list[str] = []
    unset: list[str] = []
    malformed: list[str] = []

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if match["escape"]:
            return "$"
        if match["malformed"]:
            malformed.append(text[match.start() : match.start() + 20])
            return match[0]
        found = env.get(name)
        if found or (found is not None and default is None):
            used.append(found)
            return found
        if default is not None:
            return str(default).replace("$$", "$")
        unset.append(name)
        return match[0]

    expanded = _REFERENCE.sub(value, text)
    refers = any(match["name"] for match in _REFERENCE.finditer(text))
    return Expansion(expanded, tuple(used), tuple(unset), tuple(malformed), refers)


class Interpolation:
    """Expands a whole tree of tables in place and remembers what came from where.

    `skip` says of a path that its text is to stay as it is. Afterwards `found` holds every value
    that came through references, `failed` every text with a reference that could not be resolved;
    such a text stays as it was written.
    """

    def __init__(self, env: Mapping[str, str], skip: Callable[[KeyPath], bool]) -> None:
        self.found: dict[KeyPath, Interpolated] = {}
        self.failed: dict[KeyPath, Expansion] = {}
        self._env = env
        self._skip = skip

    def run(self, value: object, path: KeyPath = ()) -> object:
        """`value`, of which all tables and lists were changed in place."""
        if isinstance(value, dict):
            for key, item in value.items():
                value[key] = self.run(item, (*path, key))
        elif isinstance(value, list):
            value[:] = [self.run(item, (*path, index)) for index, item in enumerate(value)]
        elif isinstance(value, str) and "$" in value and not self._skip(path):
            return self._expand(value, path)
        return value

    def _expand(self, text: str, path: KeyPath) -> str:
        expansion = expand(text, self._env)
        if expansion.unset or expansion.malformed:
            self.failed[path] = expansion
            return text
        if expansion.refers:
            self.found[path] = Interpolated(text, expansion.used)
        return expansion.text
