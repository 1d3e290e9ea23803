"""Composing the first config from what the installed plugins suggest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.cli.toml_text import assignments, comment, toml_value
from dovetail.config.places import dotted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dovetail.host.describe import ComponentDescription, SuggestionDescription

HEAD = """\
Written by `dovetail init` from the plugins that are installed.
`dovetail plugins` lists them, `dovetail plugins show ID` what can be set,
`dovetail config check` tells what is wrong here."""

EXAMPLE = """\
# No installed plugin offers a model to talk to without being told more. Once there is one:
#
# [chat]
# model = "NAME/MODEL"
#
# [providers.NAME]            # any name; `use` may be left out if it is the plugin's id
# use = "PLUGIN"
# api_key = "${NAME_API_KEY}" # a secret stays in the environment"""


@dataclass(frozen=True, slots=True)
class FirstConfig:
    """The text of the file, and the model it chooses; empty if there is none to talk to."""

    text: str
    model: str
    embedding_model: str
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Suggested:
    component: ComponentDescription
    suggestion: SuggestionDescription
    name: str
    use: str
    """Empty where the name says it."""

    @property
    def model(self) -> str:
        return f"{self.name}/{self.suggestion.model}".rstrip("/")


def compose(components: Sequence[ComponentDescription]) -> FirstConfig:
    """The config that the components' suggestions make together."""
    providers = _suggested(components, "provider")
    middleware = _suggested(components, "middleware")
    stores = _suggested(components, "sessions")[:1]
    chat = _first(providers, "chat")
    embed = _first([p for p in providers if "chat" not in p.component.does], "embed")
    chosen = {"model": chat, "embedding_model": embed}
    blocks = ["\n".join(comment(HEAD))]
    if not chat:
        blocks.append(EXAMPLE)
    if any(chosen.values()):
        blocks.append("\n".join(["[chat]", *assignments({k: v for k, v in chosen.items() if v})]))
    blocks += [_block(f"[{dotted(('providers', p.name))}]", p, p.use) for p in providers]
    blocks += [_block("[[middleware]]", m, m.use or m.component.plugin) for m in middleware]
    blocks += [_block("[sessions]", s, s.use or s.component.plugin) for s in stores]
    tables = (
        *(f"[providers.{p.name}]" for p in providers),
        *(f"[[middleware]] {m.component.plugin}" for m in middleware),
        *("[sessions]" for _ in stores),
    )
    return FirstConfig("\n\n".join(blocks) + "\n", chat, embed, tables)


def _suggested(components: Sequence[ComponentDescription], kind: str) -> list[_Suggested]:
    """Those of a kind that suggest something, the lowest rank first."""
    of_kind = [component for component in components if component.kind == kind]
    found: list[_Suggested] = []
    for component in of_kind:
        if component.suggestion is None:
            continue
        alone = sum(other.plugin == component.plugin for other in of_kind) == 1
        if alone or component.component == component.plugin:
            name, use = component.plugin, ""
        else:
            name, use = component.component, f"{component.plugin}:{component.component}"
        if any(known.name == name for known in found):
            name = f"{component.plugin}-{component.component}"
            use = f"{component.plugin}:{component.component}"
        found.append(_Suggested(component, component.suggestion, name, use))
    return sorted(found, key=lambda one: (one.suggestion.rank, one.name))


def _first(providers: Iterable[_Suggested], does: str) -> str:
    """The model of the first that names one, else the first of them all."""
    able = [provider for provider in providers if does in provider.component.does]
    able.sort(key=lambda provider: not provider.suggestion.model)
    return able[0].model if able else ""


def _block(header: str, suggested: _Suggested, use: str) -> str:
    said = suggested.suggestion.comment or suggested.component.summary
    named = [f"use = {toml_value(use)}"] if use else []
    return "\n".join([*comment(said), header, *named, *assignments(suggested.suggestion.values)])
