"""Opening the vector store for a command."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
import structlog

from dovetail import Kernel
from dovetail_vectorstore.errors import VectorStoreError
from dovetail_vectorstore.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dovetail import SyncKernel
    from dovetail_vectorstore.ingestion import Ingestion
    from dovetail_vectorstore.store import VectorStore

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Opened:
    """The services of this plugin."""

    store: VectorStore
    ingestion: Ingestion


def plain_options(command: F) -> F:
    """`--config` and `--json`."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
    text = "The config file; else the nearest."
    return click.option("-c", "--config", type=click.Path(), help=text)(as_json(command))


def options(command: F) -> F:
    """These, `--user` and `--collection`."""
    whose = "Whose documents; else they are everybody's."
    where = click.option("--collection", default="", help="Else the one that the config names.")
    return click.option("-u", "--user", help=whose)(where(plain_options(command)))


def everyone_option(command: F) -> F:
    """`--everyone`, for operators."""
    text = "The documents of all users, for operators."
    return click.option("--everyone", is_flag=True, help=text)(command)


def scope_of(user: str | None, *, everyone: bool = False, finds: bool = False) -> Scope:
    """What the options say. Who searches for a user `finds` what is shared as well."""
    if everyone:
        if user is not None:
            raise click.UsageError("say --user or --everyone, not both")
        return Scope.everyone()
    if user is None:
        return Scope.shared()
    own = Scope.user(user)
    return own.with_shared() if finds else own


@contextmanager
def opened(config: str | None) -> Iterator[tuple[SyncKernel, Opened]]:
    """A kernel of the config, and the services that the command needs.

    Raises:
        VectorStoreError: the config does not load the plugin.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),  # stdout is for the result
    )
    with Kernel.sync(config) as kernel:
        services = kernel.kernel.services
        if not services.has_service("ingestion"):
            raise VectorStoreError(
                "the config has no vector store: write the table [plugins.vectorstore] into it, "
                "and an `embedding_model` under [chat]"
            )
        yield kernel, Opened(services.get("vector_store"), services.get("ingestion"))
