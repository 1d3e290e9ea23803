"""The personas of a config, with their templates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.config.nearest import nearest
from dovetail.config.validate import validate
from dovetail.errors import Problem
from dovetail.pipeline.persona import Persona

if TYPE_CHECKING:
    from dovetail.config import RawConfig

LONGEST = 1_000_000
"""Bytes that the file of a template may have."""


def read_personas(raw: RawConfig, default: str) -> tuple[dict[str, Persona], list[Problem]]:
    """Every persona by its name, and what is wrong with any; `default` is what `[chat]` names."""
    tables = raw.tables.get("personas")
    personas: dict[str, Persona] = {}
    problems: list[Problem] = []
    for name, values in tables.items() if isinstance(tables, dict) else ():
        path = ("personas", name)
        if not isinstance(values, dict):
            problems.append(Problem(f"should be a table [personas.{name}]", raw.where(path)))
            continue
        persona, mistakes = validate(Persona, values, config=raw, path=path)
        problems += mistakes
        if persona is not None and persona.file is not None:
            persona, mistake = _with_file(raw, name, persona)
            problems += mistake
        personas[name] = persona or Persona()
    if default and default not in personas:
        near = nearest(default, personas)
        hint = f"did you mean `{near}`?" if near else f"write [personas.{default}]"
        where = raw.where(("chat", "persona"))
        problems.append(Problem(f"there is no persona `{default}`", where, hint))
    return personas, problems


def _with_file(raw: RawConfig, name: str, persona: Persona) -> tuple[Persona, list[Problem]]:
    """The persona with the text of its file."""
    assert persona.file is not None  # noqa: S101 - for the type checker
    place = ("personas", name, "file")
    origin = raw.origin(place)
    folder = Path(origin.source).parent if origin.layer in {"project", "user"} else Path()
    file = folder / persona.file.expanduser()
    try:
        text = file.read_bytes()[: LONGEST + 1].decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is not UTF-8: {error.reason}"
        return persona, [Problem(f"the template `{file}` cannot be read: {why}", raw.where(place))]
    if len(text.encode()) > LONGEST:
        message = f"the template `{file}` is longer than {LONGEST:,} bytes"
        return persona, [Problem(message, raw.where(place))]
    return persona.model_copy(update={"template": text}), []
