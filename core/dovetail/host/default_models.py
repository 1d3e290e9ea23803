"""Whether the models that `[chat]` names can be found: their instances are there, and fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.chat.providers import ChatProvider, EmbeddingProvider
from dovetail.config.nearest import nearest
from dovetail.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.chat.providers import Provider
    from dovetail.config import Config
    from dovetail.host.planning import Planned

_KINDS: dict[str, tuple[type[Provider], str]] = {
    "model": (ChatProvider, "chat"),
    "embedding_model": (EmbeddingProvider, "embed"),
}


def model_problems(config: Config, planned: Sequence[Planned]) -> list[Problem]:
    """What is wrong with `model` and `embedding_model` of `[chat]`.

    An instance that is there but broken is not a mistake in `[chat]`: it is told elsewhere.
    """
    tables = config.raw.tables.get("providers")
    named = list(tables) if isinstance(tables, dict) else []
    components = {p.entry.name: p.component for p in planned if p.entry.kind == "provider"}
    problems = []
    for key, (kind, does) in _KINDS.items():
        path = ("chat", key)
        chosen = config.chat.get(key)
        if not isinstance(chosen, str) or not chosen or path in config.raw.failed:
            continue
        instance, slash, model = chosen.partition("/")
        component = components.get(instance)
        if instance not in named:
            near = nearest(instance, named)
            guess = f'did you mean "{near}{slash}{model}"? ' if near else ""
            hint = f"{guess}The instances are: {_listed(named)}" if named else _first(instance)
            message = f"there is no provider instance `{instance}`"
        elif component is not None and not issubclass(component, kind):
            fitting = [name for name, cls in components.items() if issubclass(cls, kind)]
            hint = f"the instances that do are: {_listed(fitting)}"
            message = f"the instance `{instance}` does not {does}"
        else:
            continue
        problems.append(Problem(message, config.where(path), hint))
    return problems


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _first(instance: str) -> str:
    return f"there are none: add a table [providers.{instance}]"
