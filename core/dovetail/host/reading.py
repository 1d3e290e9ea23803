"""One reading of the config, understood as far as the kernel's own keys go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from dovetail.config import read_entries
from dovetail.config.validate import validate
from dovetail.events.in_process import InProcessBusSettings
from dovetail.host.options import ChatOptions, KernelOptions, PipelineOptions
from dovetail.host.personas import read_personas
from dovetail.sessions.manager import SessionOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail.config import Config, RawConfig
    from dovetail.errors import Problem
    from dovetail.pipeline.persona import Persona

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the config says; a table that is wrong has its defaults here."""

    config: Config
    kernel: KernelOptions
    chat: ChatOptions
    sessions: SessionOptions
    bus: InProcessBusSettings
    pipeline: PipelineOptions
    personas: Mapping[str, Persona]
    problems: tuple[Problem, ...]


def understand(raw: RawConfig) -> Reading:
    """The config's entries and the kernel's own tables, with every mistake found so far."""
    config, found = read_entries(raw)
    problems = list(found)

    def options(model: type[M], values: dict[str, object], table: str) -> M:
        valid, mistakes = validate(model, values, config=raw, path=(table,))
        problems.extend(mistakes)
        return valid if valid is not None else model()

    kernel = options(KernelOptions, config.kernel, "kernel")
    chat = options(ChatOptions, config.chat, "chat")
    sessions = options(SessionOptions, config.session_options, "sessions")
    bus = options(InProcessBusSettings, config.bus, "bus")
    pipeline = options(PipelineOptions, config.pipeline, "pipeline")
    personas, mistakes = read_personas(raw, chat.persona)
    problems += mistakes
    return Reading(config, kernel, chat, sessions, bus, pipeline, personas, tuple(problems))
