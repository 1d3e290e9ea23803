"""Opening the kernel for a command."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import SecretStr

from dovetail import Kernel, SyncKernel
from dovetail.cli import interrupts
from dovetail.cli.logs import configure_logs
from dovetail.cli.options import read
from dovetail.cli.state import current_state, note
from dovetail.config.raw import leaves
from dovetail.errors import ConfigNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dovetail.cli.options import Given


@contextmanager
def open_kernel(
    config: Path | None, settings: Given, *, may_write: bool = False, trace: bool = False
) -> Iterator[SyncKernel]:
    """The kernel, opened; while it is closed again, Ctrl-C ends the process at once.

    Where there is no config at all, `may_write` has a first one written. `trace` has the stages of
    turns shown on stderr.
    """
    configure_logs(current_state())
    try:
        read(config, settings)
    except ConfigNotFound:
        if config is not None or not may_write:
            raise
        config = _write_first()
        read(config, settings)
    with _make(config, dict(settings), trace=trace) as kernel:
        current_state().secrets.update(_declared_secrets(kernel))
        try:
            yield kernel
        finally:
            interrupts.disarm()


def _make(
    config: Path | None, overrides: dict[str | tuple[str, ...], object], *, trace: bool
) -> SyncKernel:
    if not trace:
        return Kernel.sync(config, overrides=overrides)
    from dovetail.cli.trace import PLUGIN, trace_plugin

    overrides["providers", PLUGIN, "use"] = PLUGIN
    made = Kernel(config, overrides=overrides).register(PLUGIN, trace_plugin())
    return SyncKernel(lambda: made)


def _write_first() -> Path:
    from dovetail.cli.init import FIRST_FILE, write_first_config

    note(f"there is no config yet; running `dovetail init` to write {FIRST_FILE}")
    return write_first_config(FIRST_FILE)


def _declared_secrets(kernel: SyncKernel) -> Iterator[str]:
    """The values of all settings that are declared as secret, whatever their names."""
    for instance in kernel.kernel.generation.instances:
        if instance.planned.settings is not None:
            for _, value in leaves(instance.planned.settings.model_dump()):
                if isinstance(value, SecretStr):
                    yield value.get_secret_value()
