"""From tables to what the host works with: which plugins are named, and with which settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from dovetail.config.nearest import nearest
from dovetail.config.order import in_order
from dovetail.config.places import TABLES
from dovetail.errors import ConfigError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from dovetail.config.files import ConfigFile
    from dovetail.config.places import KeyPath
    from dovetail.config.raw import Origin, RawConfig

    Kind = Literal[
        "provider", "middleware", "sessions", "plugin", "shared", "dependencies", "service", "stage"
    ]

SESSION_KEYS = frozenset(
    {"lifetime", "expiry", "cleanup_interval", "max_waiting", "wait_timeout", "history"}
)
"""The keys of `[sessions]` that are the session manager's, not the store's."""
RESERVED_KEYS: dict[Kind, frozenset[str]] = {
    "provider": frozenset({"use", "optional", "tags"}),
    "middleware": frozenset({"use", "optional"}),
    "sessions": frozenset({"use", "optional"}) | SESSION_KEYS,
    "plugin": frozenset({"use", "optional"}),
    "shared": frozenset({"use", "optional"}),
    "dependencies": frozenset({"use", "optional"}),
    "service": frozenset({"use", "optional"}),
    "stage": frozenset({"use", "optional"}),
}
"""Per kind of table, the keys that no component's Settings may declare."""

PART_KINDS: frozenset[Kind] = frozenset({"shared", "dependencies", "service", "stage"})
"""What has no table of its own: `[plugins.ID]` holds the settings."""

DEFAULT_STORE = "in-memory"


@dataclass(frozen=True, slots=True)
class Entry:
    """One table that names a plugin.

    `name` is the instance's name, `plugin` the plugin's id, `component` the one of its components
    if the table says which. `values` are the table's other keys, not validated; they may hold
    secrets and are not part of the `repr`.
    """

    kind: Kind
    name: str
    plugin: str
    component: str | None
    optional: bool
    values: dict[str, object] = field(repr=False)
    path: KeyPath
    tags: tuple[str, ...] = ()
    """Of a provider, words by which it can be asked for."""


@dataclass(frozen=True, slots=True)
class Config:
    """The config, understood as far as it can be without loading a plugin.

    `chat`, `kernel`, `session_options`, `bus` and `pipeline` are the kernel's own keys, not
    validated.
    """

    raw: RawConfig = field(repr=False)
    chat: dict[str, object] = field(repr=False)
    kernel: dict[str, object] = field(repr=False)
    session_options: dict[str, object] = field(repr=False)
    bus: dict[str, object] = field(repr=False)
    pipeline: dict[str, object] = field(repr=False)
    providers: tuple[Entry, ...]
    middleware: tuple[Entry, ...]
    """In the operator's order: the outermost first."""
    sessions: Entry
    plugins: tuple[Entry, ...]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All tables that name a plugin."""
        return (*self.providers, *self.middleware, self.sessions, *self.plugins)

    @property
    def files(self) -> tuple[ConfigFile, ...]:
        """The files that were read, with their fingerprints."""
        return self.raw.files

    def where(self, path: KeyPath) -> str:
        """The place and the name, as in `dovetail.toml:12 [providers.ollama] base_url`."""
        return self.raw.where(path)

    def origin(self, path: KeyPath) -> Origin:
        """Where the value came from; of a value that is not there, the table around it."""
        return self.raw.origin(path)


def read_entries(raw: RawConfig) -> tuple[Config, tuple[Problem, ...]]:
    """The config, and every mistake found in it so far (those in `raw.problems` too).

    A table whose plugin cannot be told is left out of the config and is among the problems.
    """
    reader = _Reader(raw)
    reader.check_tables()
    config = Config(
        raw=raw,
        chat=reader.table("chat"),
        kernel=reader.table("kernel"),
        session_options=_pick(reader.table("sessions"), inside=True),
        bus=reader.table("bus"),
        pipeline=reader.table("pipeline"),
        providers=reader.instances(),
        middleware=reader.middleware(),
        sessions=reader.sessions(),
        plugins=reader.plugins(),
    )
    return config, (*raw.problems, *reader.problems)


def parse_config(raw: RawConfig) -> Config:
    """Like `read_entries`, but raises `ConfigError` with all problems if there is any."""
    config, problems = read_entries(raw)
    if problems:
        raise ConfigError(in_order(problems, raw.files))
    return config


class _Reader:
    """Reads the tables one kind after the other and collects what is wrong with them."""

    def __init__(self, raw: RawConfig) -> None:
        self.raw = raw
        self.problems: list[Problem] = []

    def complain(self, path: KeyPath, message: str, hint: str = "") -> None:
        self.problems.append(Problem(message, self.raw.where(path), hint))

    def check_tables(self) -> None:
        """Every top-level name is known, and a table where it should be one."""
        for name, value in self.raw.tables.items():
            if name not in TABLES:
                self._unknown(name, value)
            elif name == "middleware":
                if not isinstance(value, list):
                    hint = "write [[middleware]], once for each"
                    self.complain((name,), "`middleware` should be a list of tables", hint)
            elif not isinstance(value, dict):
                named = name in {"providers", "plugins", "personas"}
                header = f"[{name}.NAME]" if named else f"[{name}]"
                self.complain((name,), f"`{name}` should be a table", f"write {header}")

    def _unknown(self, name: str, value: object) -> None:
        is_table = isinstance(value, dict | list)
        near = nearest(name, TABLES)
        hint = f"did you mean `{near}`?" if near else f"the tables are: {', '.join(TABLES)}"
        if is_table:
            self.complain((name,), f"there is no table `{name}`", hint)
        else:
            hint = hint if near else "put it below the [table] it belongs to"
            self.complain((name,), f"there is no key `{name}` outside of all tables", hint)

    def table(self, name: str) -> dict[str, object]:
        """A top-level table, empty if it is not there or is none."""
        value = self.raw.tables.get(name)
        return value if isinstance(value, dict) else {}

    def instances(self) -> tuple[Entry, ...]:
        entries = []
        for name, values in self.table("providers").items():
            path: KeyPath = ("providers", name)
            table = self._table_at(path, values, f"[providers.{name}]")
            if table is not None and self._is_name(path, name):
                entries.append(self._entry("provider", name, table, path, default=name))
        return tuple(entry for entry in entries if entry)

    def middleware(self) -> tuple[Entry, ...]:
        listed = self.raw.tables.get("middleware")
        entries = []
        used: dict[str, int] = {}
        for index, values in enumerate(listed if isinstance(listed, list) else ()):
            path: KeyPath = ("middleware", index)
            table = self._table_at(path, values, "[[middleware]]")
            if table is None:
                continue
            use = table.get("use")
            name = use if isinstance(use, str) else ""
            used[name] = used.get(name, 0) + 1
            name = name if used[name] == 1 else f"{name}#{used[name]}"
            entries.append(self._entry("middleware", name, table, path, default=None))
        return tuple(entry for entry in entries if entry)

    def sessions(self) -> Entry:
        path: KeyPath = ("sessions",)
        values = _pick(self.table("sessions"), inside=False)
        entry = self._entry("sessions", "sessions", values, path, default=DEFAULT_STORE)
        return entry or Entry("sessions", "sessions", DEFAULT_STORE, None, False, {}, path)  # noqa: FBT003 - all fields, in order

    def plugins(self) -> tuple[Entry, ...]:
        entries = []
        for name, values in self.table("plugins").items():
            path: KeyPath = ("plugins", name)
            table = self._table_at(path, values, f"[plugins.{name}]")
            if table is not None and "use" in table:
                self.complain((*path, "use"), "`use` has no place in [plugins.ID]: the ID says it")
            elif table is not None:
                entries.append(self._entry("plugin", name, table, path, default=name))
        return tuple(entry for entry in entries if entry)

    def _entry(
        self,
        kind: Kind,
        name: str,
        values: dict[str, object],
        path: KeyPath,
        *,
        default: str | None,
    ) -> Entry | None:
        """The entry, or `None` if the plugin cannot be told."""
        optional = self._optional(values, path)
        if "use" not in values and default is None:
            near = nearest("use", values)
            hint = f"did you mean it by `{near}`?" if near else 'write `use = "plugin"`'
            self.complain(path, "`use` is missing: which plugin is it?", hint)
            return None
        use = values.get("use", default)
        if (*path, "use") in self.raw.failed:
            return None  # already among the problems
        plugin, colon, component = use.partition(":") if isinstance(use, str) else ("", "", "")
        valid = _is_word(plugin) and (_is_word(component) or not colon)
        if not valid or (kind == "plugin" and colon):
            self._bad_use(kind, use, path, written="use" in values)
            return None
        own = RESERVED_KEYS[kind] - SESSION_KEYS
        rest = {key: value for key, value in values.items() if key not in own}
        tags = self._tags(values, path) if "tags" in own else ()
        return Entry(kind, name, plugin, component or None, optional, rest, path, tags)

    def _bad_use(self, kind: Kind, use: object, path: KeyPath, *, written: bool) -> None:
        if written:
            message = '`use` should be "plugin" or "plugin:component"'
            self.complain((*path, "use"), message, "`dovetail plugins list` shows the plugins")
        elif kind == "plugin":
            self.complain(path, f"{use!r} cannot be a plugin's id")
        else:
            message = f"{use!r} cannot be a plugin's id, so `use` must say which plugin it is"
            self.complain(path, message, 'write `use = "plugin"`')

    def _optional(self, values: dict[str, object], path: KeyPath) -> bool:
        value = values.get("optional", False)
        if isinstance(value, bool):
            return value
        here = (*path, "optional")
        # The environment has text only.
        text = here in self.raw.interpolated or self.raw.origin(here).layer == "environment"
        if text and isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        if here not in self.raw.failed:
            self.complain(here, "`optional` should be true or false, without quotes")
        return False

    def _tags(self, values: dict[str, object], path: KeyPath) -> tuple[str, ...]:
        tags = values.get("tags", [])
        if isinstance(tags, list) and all(isinstance(tag, str) and tag for tag in tags):
            return tuple(tags)
        if (*path, "tags") not in self.raw.failed:
            hint = 'for example tags = ["fast", "local"]'
            self.complain((*path, "tags"), "`tags` should be a list of words", hint)
        return ()

    def _table_at(self, path: KeyPath, value: object, header: str) -> dict[str, object] | None:
        if isinstance(value, dict):
            return value
        self.complain(path, f"should be a table {header}")
        return None

    def _is_name(self, path: KeyPath, name: str) -> bool:
        if "/" in name:
            hint = 'models are named "instance/model"'
            self.complain(path, f"the name {name!r} should have no slash", hint)
        elif not _is_word(name.replace(" ", "_")) or name != name.strip():
            self.complain(path, f"{name!r} cannot be an instance's name")
        else:
            return True
        return False


def place_of(plugin_id: str, name: str, with_settings: Sequence[str]) -> tuple[str, ...]:
    """Where below `[plugins.ID]` the part `name` has its settings: in it, or in a table of it.

    `with_settings` are the names of all parts of the plugin that take any.
    """
    return () if name == plugin_id or list(with_settings) == [name] else (name,)


def _pick(table: dict[str, object], *, inside: bool) -> dict[str, object]:
    """The keys of `[sessions]` that are the manager's, or those that are not."""
    return {key: value for key, value in table.items() if (key in SESSION_KEYS) is inside}


def _is_word(text: str) -> bool:
    """Whether it can name something: not empty, printable, without blanks."""
    return bool(text) and text.isprintable() and not any(char.isspace() for char in text)
