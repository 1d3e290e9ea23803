"""What a plugin offers, told without making any of it; `python -m dovetail.host.describe ID`.

`dovetail init` and `dovetail config schema` ask every installed plugin, each in a process of its
own: importing one that is broken, slow or noisy then harms nobody. That process writes the
`PluginDescription` as JSON on stdout.
"""

import asyncio
import os
import sys
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from dovetail.chat.providers import ChatProvider, EmbeddingProvider
from dovetail.component import Component, settings_type
from dovetail.config.shape import settings_schema
from dovetail.events.provider import EventProvider
from dovetail.host.discovery import discover
from dovetail.host.loading import ENTRY_KINDS, PluginLoader
from dovetail.host.options import KernelOptions
from dovetail.host.records import PluginRecord, describe
from dovetail.redaction import redact


class SuggestionDescription(BaseModel):
    """A component's `Suggestion`, as JSON can hold it."""

    values: dict[str, Any] = {}
    model: str = ""
    rank: int = 50
    comment: str = ""


class ComponentDescription(BaseModel):
    """One class that a plugin's hooks return."""

    plugin: str
    component: str
    """How config names it after `plugin:`."""
    kind: str
    """`provider`, `middleware`, `sessions`, …: which kind of table it is for."""
    does: list[str] = []
    """Of a provider, `chat`, `embed` and `events`."""
    summary: str = ""
    """The first line of its docstring."""
    settings_schema: dict[str, Any] | None = None
    """The JSON Schema of its settings; None if it takes none."""
    suggestion: SuggestionDescription | None = None
    problem: str = ""
    """Why its suggestion is not known."""


class PluginDescription(BaseModel):
    """A plugin and its components, or why it could not be loaded."""

    plugin: str
    distribution: str = ""
    version: str = ""
    import_ms: float | None = None
    components: list[ComponentDescription] = []
    failure: str = ""


def describe_plugin(record: PluginRecord) -> PluginDescription:
    """What a plugin offers that `PluginLoader` has loaded, or failed to."""
    seconds = record.import_seconds
    return PluginDescription(
        plugin=record.plugin_id,
        distribution=record.distribution,
        version=record.version,
        import_ms=None if seconds is None else round(seconds * 1000, 1),
        components=[
            describe_component(record.plugin_id, ENTRY_KINDS[hook], component)
            for hook, classes in record.components.items()
            for component in classes
        ],
        failure=redact(str(record.failure)) if record.failure else "",
    )


def describe_component(plugin: str, kind: str, component: type[Component]) -> ComponentDescription:
    """What a component is for, what may be set, and what it suggests."""
    model = settings_type(component)
    suggestion, problem = _suggestion(component)
    uses = (("chat", ChatProvider), ("embed", EmbeddingProvider), ("events", EventProvider))
    return ComponentDescription(
        plugin=plugin,
        component=component.name,
        kind=kind,
        does=[word for word, base in uses if issubclass(component, base)],
        summary=cleandoc(component.__doc__ or "").partition("\n")[0],
        settings_schema=None if model is None else settings_schema(model),
        suggestion=suggestion,
        problem=problem,
    )


def _suggestion(component: type[Component]) -> tuple[SuggestionDescription | None, str]:
    try:
        given = component.suggestion()
        if given is None:
            return None, ""
        values = to_jsonable_python(dict(given.values))
        return (
            SuggestionDescription(
                values=values, model=given.model, rank=given.rank, comment=given.comment
            ),
            "",
        )
    except Exception as error:  # noqa: BLE001 - the plugin's own code
        return None, f"its `suggestion()` failed: {describe(error)}"


def main(plugin_id: str) -> None:
    """Load one installed plugin and write its description; ends the process."""
    # What the plugin prints is not for whoever reads the description.
    answer = os.dup(1)
    os.dup2(2, 1)
    records = discover()
    record = records.get(plugin_id) or PluginRecord(plugin_id, "")
    loader = PluginLoader(records)
    asyncio.run(loader.load([plugin_id], KernelOptions().import_timeout))
    with os.fdopen(answer, "w", encoding="utf-8") as stdout:
        stdout.write(describe_plugin(record).model_dump_json())
    sys.stderr.flush()
    os._exit(0)  # a thread that the plugin left running would keep the process from ending


if __name__ == "__main__":
    main(sys.argv[1])
