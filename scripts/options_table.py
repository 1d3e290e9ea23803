"""Writes the table of the kernel's own keys into docs/operators.md; `--check` only compares."""

import sys
from pathlib import Path

from pydantic import BaseModel

from dovetail.events.in_process import InProcessBusSettings
from dovetail.host.options import ChatOptions, KernelOptions, PipelineOptions
from dovetail.pipeline.persona import Persona
from dovetail.sessions.manager import SessionOptions
from dovetail.sessions.memory import MemorySettings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operators.md"
START = "## The kernel's own keys\n"
MODELS: dict[str, type[BaseModel]] = {
    "chat": ChatOptions,
    "kernel": KernelOptions,
    "sessions": SessionOptions,
    'sessions, with use = "in-memory"': MemorySettings,
    "pipeline": PipelineOptions,
    "personas.NAME": Persona,
    "bus": InProcessBusSettings,
}


def tables() -> str:
    """Markdown of every key, its default and what it is."""
    parts = []
    for name, model in MODELS.items():
        rows = [
            f"| `{key}` | {shown(field.default)} | {field.description} |"
            for key, field in model.model_fields.items()
        ]
        parts.append("\n".join((f"`[{name}]`", "", "| key | default | |", "|---|---|---|", *rows)))
    return "\n\n".join(parts)


def shown(value: object) -> str:
    """A default as it would be written."""
    if value is None or value == "":
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def main() -> int:
    """Compare or write."""
    text = PAGE.read_text(encoding="utf-8")
    wanted = text.partition(START)[0] + START + "\n" + tables() + "\n"
    if "--check" in sys.argv:
        if text != wanted:
            print("docs/operators.md is behind: run scripts/options_table.py")
        return int(text != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
