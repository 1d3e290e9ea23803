"""`dovetail knowledge`: what the vector store holds, and what goes into it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dovetail_vectorstore import cli_output as out
from dovetail_vectorstore.cli_opening import (
    everyone_option,
    opened,
    options,
    plain_options,
    scope_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dovetail_vectorstore.ingested import State
    from dovetail_vectorstore.items import Collection

HELP_NAMES = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=HELP_NAMES)
def knowledge() -> None:
    """Put documents into the vector store, and find them by meaning and by words.

    Documents are everybody's unless --user says whose they are.
    """


@knowledge.command(context_settings=HELP_NAMES)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--prune", is_flag=True, help="Remove what was stored of PATHS and is gone.")
@click.option("-x", "--exclude", multiple=True, help="Leave these out, by name or path: *.min.js.")
@options
def add(
    *,
    paths: tuple[Path, ...],
    prune: bool,
    exclude: tuple[str, ...],
    user: str | None,
    collection: str,
    config: str | None,
    as_json: bool,
) -> None:
    """Store files, and all files of folders that can be read.

    What is stored unchanged is skipped, so after an interruption the same command goes on. A file
    that cannot be read is listed, and the others go on; the exit code is 1 then.
    """
    with opened(config) as (kernel, plugin), _bar() as progress:
        work = plugin.ingestion.add(
            paths,
            scope=scope_of(user),
            collection=collection,
            exclude=exclude,
            prune=prune,
            progress=progress,
        )
        try:
            result = kernel.call(work)
        except KeyboardInterrupt:
            click.echo("\nstopped; the same command goes on from here", err=True)
            raise
    if as_json:
        out.write_json(asdict(result))
    else:
        out.show_ingested(result)
    if result.failed:
        sys.exit(1)


@knowledge.command(context_settings=HELP_NAMES)
@click.argument("query")
@click.option(
    "-m",
    "--mode",
    type=click.Choice(["hybrid", "vector", "text"]),
    default="hybrid",
    show_default=True,
    help="By meaning, by words, or by both.",
)
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("-t", "--threshold", type=float, help="The least score; in a hybrid search a cosine.")
@everyone_option
@options
def search(  # noqa: PLR0913 - one parameter for each option
    *,
    query: str,
    mode: Any,
    limit: int,
    threshold: float | None,
    everyone: bool,
    user: str | None,
    collection: str,
    config: str | None,
    as_json: bool,
) -> None:
    """Show the passages that fit QUERY best."""
    if not query.strip():
        raise click.UsageError("the query is empty")
    with opened(config) as (kernel, plugin):
        hits = kernel.call(
            plugin.store.search(
                query,
                scope=scope_of(user, everyone=everyone, finds=True),
                collection=collection,
                mode=mode,
                limit=limit,
                threshold=threshold,
            )
        )
    if as_json:
        out.write_json([out.hit_as_json(hit) for hit in hits])
    elif hits:
        out.show_hits(hits)
    else:
        click.echo("nothing was found; `dovetail knowledge list` shows what is stored", err=True)


@knowledge.command("list", context_settings=HELP_NAMES)
@everyone_option
@options
def list_(
    *, everyone: bool, user: str | None, collection: str, config: str | None, as_json: bool
) -> None:
    """List the documents."""
    with opened(config) as (kernel, plugin):
        scope = scope_of(user, everyone=everyone)
        found = kernel.call(plugin.store.sources(scope=scope, collection=collection))
    if as_json:
        out.write_json([{"source": one.source, "chunks": one.items} for one in found])
    elif found:
        out.show_table([("SOURCE", "CHUNKS"), *((one.source, f"{one.items:,}") for one in found)])
    else:
        click.echo("nothing is stored; put something in: dovetail knowledge add PATH", err=True)


@knowledge.command(context_settings=HELP_NAMES)
@click.argument("sources", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All documents of the collection.")
@everyone_option
@options
def delete(
    *,
    sources: tuple[str, ...],
    everything: bool,
    everyone: bool,
    user: str | None,
    collection: str,
    config: str | None,
    as_json: bool,
) -> None:
    """Remove documents by their names in the list; of a folder, all that are in it."""
    if bool(sources) == everything:
        raise click.UsageError("name documents, or say --all")
    scope = scope_of(user, everyone=everyone)
    with opened(config) as (kernel, plugin):
        store = plugin.store
        there = kernel.call(store.sources(scope=scope, collection=collection))
        chosen = [one for one in there if everything or out.is_meant(one.source, sources)]
        chunks = 0
        for one in chosen:
            where = {"source": one.source}
            chunks += kernel.call(store.delete(scope=scope, collection=collection, filters=where))
    if as_json:
        out.write_json({"removed": [one.source for one in chosen], "chunks": chunks})
    else:
        click.echo(f"{out.count_of(len(chosen), 'document')} removed")
    if not chosen and sources:
        raise click.ClickException("none is stored under that name; see dovetail knowledge list")


@knowledge.command(context_settings=HELP_NAMES)
@click.argument("collection", default="")
@click.option("--everything", is_flag=True, help="Also what has a vector of the same model.")
@plain_options
def reindex(*, collection: str, everything: bool, config: str | None, as_json: bool) -> None:
    """Embed what COLLECTION holds with the model that the config names now; of all users."""
    with opened(config) as (kernel, plugin), _bar() as progress:
        _check_there(collection, kernel.call(plugin.store.collections()))
        done = kernel.call(
            plugin.store.reindex(
                collection,
                everything=everything,
                progress=lambda did, of: progress(out.state_of(did, of)),
            )
        )
    refused = [{"source": item.source, "id": item.id, "reason": why} for item, why in done.refused]
    if as_json:
        told = {"embedded": done.embedded, "vectors": done.vectors, "refused": refused}
        out.write_json(told)
    else:
        there = out.count_of(done.vectors, "vector")
        click.echo(f"{out.count_of(done.embedded, 'chunk')} embedded; {there}")
        for one in refused:
            click.echo(f"{one['source']}: {one['reason']}", err=True)
    if refused:
        sys.exit(1)


@knowledge.command(context_settings=HELP_NAMES)
@click.argument("collection", default="")
@plain_options
def stats(*, collection: str, config: str | None, as_json: bool) -> None:
    """Show what is known of the collections, or of one."""
    with opened(config) as (kernel, plugin):
        known = kernel.call(plugin.store.collections())
        _check_there(collection, known)
        names = [collection] if collection else [one.name for one in known]
        found = [one for name in names if (one := kernel.call(plugin.store.stats(name)))]
    if as_json:
        out.write_json([out.stats_as_json(one) for one in found])
    elif found:
        out.show_stats(found)
    else:
        click.echo("nothing is stored; put something in: dovetail knowledge add PATH", err=True)


def _check_there(name: str, known: Sequence[Collection]) -> None:
    names = [collection.name for collection in known]
    if name and name not in names:
        there = ", ".join(map(out.on_a_line, names)) or "none"
        raise click.ClickException(f"there is no collection `{name}`; there are: {there}")


@contextmanager
def _bar() -> Iterator[Callable[[State], None]]:
    """A bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=1000, file=sys.stderr, item_show_func=str) as bar:

        def show(state: State) -> None:
            share = int(1000 * state.done / state.total) if state.total else 1000
            bar.update(max(0, share - bar.pos), state.source or bar.current_item or "")

        yield show
