"""What the host knows of a plugin and of what went wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dovetail.component import Component


_MOST_ERRORS = 3
"""How many errors of a group are told."""


class PluginState(StrEnum):
    """How far a plugin has come."""

    DISCOVERED = "discovered"
    """Installed; nothing of it was imported."""
    CONFIGURED = "configured"
    """Named by the config."""
    LOADED = "loaded"
    """Imported, its hooks called, its settings valid."""
    STARTED = "started"
    STOPPED = "stopped"
    FAILED = "failed"


class FailureStage(StrEnum):
    """Where a plugin failed."""

    DISCOVER = "discover"
    IMPORT = "import"
    REGISTER = "register"
    """Its hooks, or what they returned."""
    VALIDATE = "validate"
    """Its settings."""
    START = "start"
    RUN = "run"
    """It had started, and broke by itself."""
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a plugin, where, and what to do."""

    stage: FailureStage
    plugin_id: str
    distribution: str
    version: str
    cause: BaseException = field(repr=False)
    hint: str = ""
    component: str = ""
    """The place of the component's table; empty if it is the plugin itself."""
    place: str = ""
    """The place of the mistake in the config, where it is known better than by its table."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """Text that must not be shown, should the cause hold it."""
    follows: bool = False
    """Whether nothing is wrong but that something else, which it needs, did not start."""

    def __str__(self) -> str:
        """Two lines for a person."""
        who = f"plugin `{self.plugin_id}`"
        if self.distribution:
            who += f" ({self.distribution} {self.version})".replace(" )", ")")
        if self.place or self.component:
            who += f", {self.place or self.component}"
        text = f"{who} failed at {self.stage}: {describe(self.cause, self.secrets)}"
        return f"{text}\n    → {self.hint}" if self.hint else text


def describe(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """An error for a person: its words, with its type where the words alone say too little.

    Of a group, which says only how many there are, the errors in it.
    """
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(each, secrets) for each in error.exceptions[:_MOST_ERRORS])
    from dovetail.errors import DovetailError
    from dovetail.redaction import redact

    try:
        words = redact(str(error), secrets)
    except Exception:  # noqa: BLE001 - a plugin's exception may be broken itself
        words = ""
    if isinstance(error, DovetailError) and words:
        return words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


@dataclass(slots=True)
class PluginRecord:
    """One installed or registered plugin."""

    plugin_id: str
    module: str
    """Where its hooks are: a module, or `module:attribute`."""
    distribution: str = ""
    version: str = ""
    api: int = 1
    """The API version its entry point's group names."""
    plugin: object | None = None
    """The plugin itself once imported, or at once if it was registered by hand."""
    state: PluginState = PluginState.DISCOVERED
    import_seconds: float | None = None
    components: dict[str, list[type[Component]]] = field(default_factory=dict)
    """What its hooks returned, by hook."""
    clash: tuple[PluginRecord, ...] = ()
    """Other distributions that offer the same id."""
    failure: Failure | None = None
    """Why it cannot be used."""

    @property
    def loaded(self) -> bool:
        """Whether its hooks were called and answered."""
        if self.state is PluginState.FAILED:
            return self.failure is None  # a component of it broke; the plugin itself did not
        return self.state in (PluginState.LOADED, PluginState.STARTED, PluginState.STOPPED)

    def fail(
        self,
        stage: FailureStage,
        cause: BaseException,
        hint: str = "",
        component: str = "",
        secrets: frozenset[str] = frozenset(),
    ) -> Failure:
        """A failure of this plugin, with what is known of it."""
        return Failure(
            stage,
            self.plugin_id,
            self.distribution,
            self.version,
            cause,
            hint,
            component,
            secrets=secrets,
        )
