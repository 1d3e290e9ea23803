"""The kernel's own events: what happened, when it is told, and what its data holds.

The table in docs/events.md is made of this by scripts/events_table.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dovetail.events.event import EVENT_DROPPED, EVENT_FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class EventKind:
    """One event of the kernel's own. Its data is a dictionary, to which more may come later."""

    name: str
    when: str
    """When it is told, in a sentence."""
    fields: Mapping[str, str]
    """What each key of its data is."""
    sample: Mapping[str, Any]
    """Data as it may come."""


def _kind(name: str, when: str, **fields: tuple[str, Any]) -> EventKind:
    said = {key: words for key, (words, _) in fields.items()}
    sample = {key: value for key, (_, value) in fields.items()}
    return EventKind(name, when, MappingProxyType(said), MappingProxyType(sample))


_ID = "01929b6e-54f3-7c1a-8e0d-5b6f2a9c4d1e"
_CONTEXT: dict[str, tuple[str, Any]] = {
    "request_id": ("The request a host was asked.", _ID),
    "session_id": ("The conversation; None without one.", "s-1"),
    "user_id": ("Whose it is; None if nobody said.", "ada"),
    "agent_id": ("The agent at work; None if it is none.", None),
    "run_id": ("The turn in flight, as `Kernel.runs` knows it.", _ID),
}
_STAGE: dict[str, tuple[str, Any]] = {
    **{key: value for key, value in _CONTEXT.items() if key != "run_id"},
    "persona_id": ("Who answers; None without a persona.", "sage"),
    "stage": ("`template`, `pre_response`, `post_response` or `post_response_ai`.", "template"),
}
_SESSION: dict[str, tuple[str, Any]] = {
    "session_id": ("The conversation.", "s-1"),
    "user_id": ("Whose it is; None if nobody said.", "ada"),
}
_USAGE: tuple[str, Any] = (
    "Tokens by `prompt_tokens`, `completion_tokens`, …; None if the provider did not say.",
    {"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42},
)
_SECONDS: tuple[str, Any] = ("How long it took.", 1.25)
_FIRST_CHUNK: tuple[str, Any] = (
    "How long until the answer's first chunk was there; None if none came.",
    0.2,
)
_ERROR: dict[str, tuple[str, Any]] = {
    "error": ("The name of the exception's class; None if all went well.", None),
    "error_message": ("What it says, without secrets; None as above.", None),
}
_PLUGIN: dict[str, tuple[str, Any]] = {
    "plugin": ("The plugin's id.", "ollama"),
    "distribution": ("What it was installed as.", "dovetail-ollama"),
    "version": ("The version of that.", "0.1.0"),
    "table": ("The component's table in the config.", "[providers.ollama]"),
}

KINDS: tuple[EventKind, ...] = (
    _kind(
        "agent_start",
        "A turn begins, an agent's or not; the model was not asked yet.",
        **_CONTEXT,
        model=("The model it is to talk to, with its instance.", "ollama/llama3.2"),
        input=("The text that was asked.", "What is a dovetail joint?"),
        stream=("Whether the host reads chunks.", False),
    ),
    _kind(
        "agent_complete",
        "A turn has ended, well or not, and what came of it is kept.",
        **_CONTEXT,
        provider=("The instance that answered; empty if none did.", "ollama"),
        model=("The model that answered, in the provider's words.", "llama3.2"),
        input=("The text that was asked.", "What is a dovetail joint?"),
        output=("The text of the answer, or what had come of it.", "A joint of wood."),
        finish_reason=("Why the answer ended: `stop`, `length`, `cancelled`, `error`, …", "stop"),
        usage=_USAGE,
        seconds=_SECONDS,
        first_chunk_seconds=_FIRST_CHUNK,
        **_ERROR,
    ),
    _kind(
        "model_complete",
        "A call of a model has ended; a turn may make none, one, or several.",
        **_CONTEXT,
        operation=("`chat` or `embed`.", "chat"),
        provider=("The instance that was asked.", "ollama"),
        model=("The model that answered, else the one that was asked for.", "llama3.2"),
        request_model=("The model that was asked for; empty for the provider's own.", "llama3.2"),
        finish_reason=("Why the answer ended; None for `embed`.", "stop"),
        usage=_USAGE,
        seconds=_SECONDS,
        first_chunk_seconds=_FIRST_CHUNK,
        **_ERROR,
    ),
    _kind(
        "stage_start",
        "A stage of a turn begins, in which anything works.",
        **_STAGE,
        executors=("Who works in it, the first first.", ["modules"]),
    ),
    _kind(
        "stage_complete",
        "A stage of a turn has ended.",
        **_STAGE,
        seconds=_SECONDS,
        failed=("Who failed, and was left out.", []),
        prompt=("The system prompt after it; None after the answer.", "You are a sage."),
        **_ERROR,
    ),
    _kind("session_created", "A session was made.", **_SESSION),
    _kind("session_deleted", "A session was deleted by somebody.", **_SESSION),
    _kind(
        "session_expired",
        "A clean-up removed sessions whose time had ended.",
        count=("How many.", 3),
    ),
    _kind(
        "session_busy",
        "A turn was refused because others have its session.",
        **_SESSION,
        reason=("Which limit was met, in words.", "it was not free within 30 s"),
    ),
    _kind("plugin_started", "A component of a plugin has started.", **_PLUGIN),
    _kind(
        "plugin_failed",
        "A component of a plugin failed, and the kernel goes on without it.",
        **_PLUGIN,
        stage=("Where: `import`, `register`, `validate`, `start`, `run` or `stop`.", "start"),
        error=("The name of the exception's class.", "NotReady"),
        error_message=("What it says, without secrets.", "no server at http://127.0.0.1:11434"),
    ),
    _kind(
        "plugin_stopped",
        "A component of a plugin has stopped after a reload; at the kernel's end nobody is told.",
        **_PLUGIN,
    ),
    _kind(
        "config_reloaded",
        "The config was read again and is in force; each is a list of tables.",
        started=("What has started.", ["[providers.metrics]"]),
        stopped=("What stops when the last turn is done with it.", ["[providers.ollama]"]),
        kept=("What runs on as it is.", ["[sessions]"]),
        needs_restart=("What has changed and is in force after a restart only.", []),
    ),
    _kind(
        EVENT_FAILED,
        "An event provider raised, or took longer than its `handler_timeout`. It is not told.",
        event=("The event it was told of.", "agent_complete"),
        provider=("Its instance.", "metrics"),
        error=("The name of the exception's class.", "TimeoutError"),
        error_message=("What it says, without secrets.", "TimeoutError: it took longer than 5 s"),
        seconds=("How long the delivery had waited by then.", 5.0),
    ),
    _kind(
        EVENT_DROPPED,
        "Events were dropped because a provider's queue was full; once a second at most while "
        "it lasts. It is not told.",
        provider=("Its instance.", "metrics"),
        count=("How many since the last time.", 12),
        dropped=("How many so far.", 240),
    ),
)
"""Every event that the kernel emits."""


def markdown() -> str:
    """For people: a table of all events, then one of each event's data."""
    rows = [
        f"| [`{kind.name}`](#{kind.name}) | {kind.when} | {', '.join(map(_code, kind.fields))} |"
        for kind in KINDS
    ]
    parts = ["\n".join(("| event | when | data |", "|---|---|---|", *rows))]
    for kind in KINDS:
        fields = [f"| {_code(key)} | {words} |" for key, words in kind.fields.items()]
        table = "\n".join((f"| `{kind.name}` | |", "|---|---|", *fields))
        parts += [f"### {kind.name}", kind.when, table]
    return "\n\n".join(parts)


def _code(name: str) -> str:
    return f"`{name}`"
