"""The config with everything that is known to be wrong with it: read, loaded, not started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.config.order import in_order
from dovetail.host.discovery import discover
from dovetail.host.loading import PluginLoader
from dovetail.host.planning import Plan, make_plan
from dovetail.host.reading import understand

if TYPE_CHECKING:
    from dovetail.config import Config, RawConfig
    from dovetail.errors import Problem
    from dovetail.host.options import KernelOptions
    from dovetail.host.records import PluginRecord


@dataclass(frozen=True, slots=True)
class Survey:
    """What the config comes to."""

    config: Config
    kernel: KernelOptions
    """The limits of `[kernel]`; their defaults where that table is wrong."""
    plan: Plan
    records: dict[str, PluginRecord]
    problems: tuple[Problem, ...]
    """All mistakes, those of the plan too."""


async def survey(raw: RawConfig) -> Survey:
    """Load what the config names and find all that is wrong, without starting anything."""
    reading = understand(raw)
    records = discover()
    plan = await make_plan(reading.config, PluginLoader(records), reading.kernel.import_timeout)
    problems = in_order((*reading.problems, *plan.problems), raw.files)
    return Survey(reading.config, reading.kernel, plan, records, problems)
