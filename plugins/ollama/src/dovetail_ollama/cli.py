"""`dovetail ollama`: look after the models of an Ollama server."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from contextlib import ExitStack, aclosing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
import structlog

from dovetail import ConfigNotFound, Kernel
from dovetail_ollama.progress import Progress
from dovetail_ollama.provider import Ollama
from dovetail_ollama.settings import KeepAlive
from dovetail_ollama.tables import LOCAL, RUNNING, card_rows, local_row, running_row, show_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dovetail import SyncKernel
    from dovetail_ollama.server import OllamaServer

F = TypeVar("F", bound="Callable[..., Any]")

HELP_NAMES = {"help_option_names": ["-h", "--help"]}
DEFAULT: dict[str, object] = {"providers": {"ollama": {}}}
"""The config where there is none, or none with an Ollama server in it."""


def _options(command: F) -> F:
    """`--instance` and `--config`."""
    command = click.option(
        "-c", "--config", type=click.Path(), help="The config file; else the nearest."
    )(command)
    return click.option(
        "-i", "--instance", default="", help="Which of the config's Ollama servers."
    )(command)


as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


class _Duration(click.ParamType[float]):
    """Seconds, or text such as 30m; negative: for ever."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from pydantic import TypeAdapter, ValidationError

        try:
            seconds: float = TypeAdapter(KeepAlive).validate_python(value)
        except ValidationError:
            self.fail("should be a number of seconds, or text such as 30m or -1")
        return seconds


@click.group(context_settings=HELP_NAMES)
def ollama() -> None:
    """Look after the models of an Ollama server.

    It is the one that the config names; without a config, the one on this machine.
    """


@ollama.command("list", context_settings=HELP_NAMES)
@as_json
@_options
def list_(*, as_json: bool, instance: str, config: str | None) -> None:
    """List the models on the server's disk."""
    with _opened(instance, config) as (kernel, server):
        found = kernel.call(server.tags())
    if as_json:
        click.echo(json.dumps([model.model_dump(mode="json") for model in found]))
    elif not found:
        click.echo("the server has no models; fetch one: dovetail ollama pull llama3.2", err=True)
    else:
        show_table([LOCAL, *map(local_row, found)])


@ollama.command(context_settings=HELP_NAMES)
@click.argument("model")
@click.option("--insecure", is_flag=True, help="Let the server fetch it without TLS.")
@_options
def pull(model: str, *, insecure: bool, instance: str, config: str | None) -> None:
    """Have the server fetch MODEL; one that was interrupted goes on where it stopped."""
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    progress = Progress(sys.stderr, width)

    async def run(server: OllamaServer) -> None:
        async with aclosing(server.pull(model, insecure=insecure)) as states:
            async for state in states:
                progress.show(state)

    with _opened(instance, config) as (kernel, server):
        try:
            kernel.call(run(server))
        except KeyboardInterrupt:
            progress.end()
            click.echo("stopped; the same command goes on from here", err=True)
            raise
        finally:
            progress.end()
    click.echo(f"{model} is ready")


@ollama.command(context_settings=HELP_NAMES)
@click.argument("model")
@as_json
@_options
def show(model: str, *, as_json: bool, instance: str, config: str | None) -> None:
    """Show what MODEL is and can do."""
    with _opened(instance, config) as (kernel, server):
        card = kernel.call(server.show(model))
        num_ctx = kernel.call(server.num_ctx(model))
    if as_json:
        click.echo(json.dumps({**card.model_dump(mode="json"), "num_ctx": num_ctx}))
    else:
        show_table(card_rows(card, num_ctx))


@ollama.command(context_settings=HELP_NAMES)
@click.argument("models", nargs=-1, required=True)
@_options
def rm(models: tuple[str, ...], instance: str, config: str | None) -> None:
    """Remove MODELS from the server's disk."""
    with _opened(instance, config) as (kernel, server):
        for model in models:
            kernel.call(server.delete(model))
            click.echo(f"{model} is removed")


@ollama.command(context_settings=HELP_NAMES)
@as_json
@_options
def ps(*, as_json: bool, instance: str, config: str | None) -> None:
    """List the models in the server's memory."""
    with _opened(instance, config) as (kernel, server):
        found = kernel.call(server.ps())
    if as_json:
        click.echo(json.dumps([model.model_dump(mode="json") for model in found]))
    elif not found:
        click.echo("no model is in the server's memory", err=True)
    else:
        show_table([RUNNING, *map(running_row, found)])


@ollama.command(context_settings=HELP_NAMES)
@click.argument("model")
@click.option(
    "--keep-alive", type=_Duration(), help="For how long: seconds, or 30m; -1 is for ever."
)
@_options
def load(model: str, keep_alive: float | None, instance: str, config: str | None) -> None:
    """Have MODEL in the server's memory before somebody asks it."""
    with _opened(instance, config) as (kernel, server):
        kernel.call(server.load(model, keep_alive))
    click.echo(f"{model} is loaded")


@ollama.command(context_settings=HELP_NAMES)
@click.argument("model")
@_options
def unload(model: str, instance: str, config: str | None) -> None:
    """Have MODEL out of the server's memory."""
    with _opened(instance, config) as (kernel, server):
        kernel.call(server.unload(model))
    click.echo(f"{model} is unloaded")


@contextmanager
def _opened(instance: str, config: str | None) -> Iterator[tuple[SyncKernel, OllamaServer]]:
    """A kernel and the server to ask; without a config that names one, the default server."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),  # stdout is for the result
    )
    with ExitStack() as stack:
        try:
            kernel = stack.enter_context(Kernel.sync(config))
        except ConfigNotFound:
            if config is not None:
                raise
            kernel = stack.enter_context(Kernel.sync(DEFAULT))
        if not instance and not _instances(kernel):
            stack.close()
            kernel = stack.enter_context(Kernel.sync(DEFAULT))
        yield kernel, _choose(_instances(kernel), instance).server


def _instances(kernel: SyncKernel) -> dict[str, Ollama]:
    providers = kernel.kernel.generation.providers
    return {name: found for name, found in providers.items() if isinstance(found, Ollama)}


def _choose(instances: dict[str, Ollama], wanted: str) -> Ollama:
    names = ", ".join(f"`{name}`" for name in instances) or "none"
    if wanted:
        if wanted not in instances:
            raise click.UsageError(f"no [providers.{wanted}] uses ollama; those that do: {names}")
        return instances[wanted]
    if len(instances) == 1:
        return next(iter(instances.values()))
    if "ollama" in instances:
        return instances["ollama"]
    raise click.UsageError(f"say which server with -i: {names}")
