"""`dovetail plugins new`."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dovetail import __version__
from dovetail.cli.errors import WrongUse
from dovetail.cli.lazy import HELP_NAMES
from dovetail.errors import DovetailError
from dovetail.host.discovery import discover

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
LONGEST_NAME = 50


@click.command(context_settings=HELP_NAMES)
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write it; by default ./dovetail-NAME.",
)
def new(name: str, folder: Path | None) -> None:
    """Write the project of a new plugin with the id NAME, ready to be installed and tested."""
    name = name.replace("_", "-")  # one spelling for the id, the distribution and the folder
    _check_name(name)
    folder = folder or Path(f"dovetail-{name}")
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise DovetailError(
            f"{folder} is there already and not empty; name another place with --dir"
        )
    words = {
        "id": name,
        "distribution": f"dovetail-{name}",
        "package": f"dovetail_{name.replace('-', '_')}",
        "class": "".join(part.capitalize() for part in name.split("-")),
        "version": __version__,
    }
    try:
        for path, text in _rendered(words):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DovetailError(f"{error.filename} cannot be written: {error.strerror}") from error
    click.echo(
        f"{folder} holds the plugin `{name}`. Its README.md says how to go on:\n"
        f"  cd {folder} && pip install -e '.[test]' && pytest"
    )


def _check_name(name: str) -> None:
    """Refuse what cannot be an id, a package and a distribution all together.

    Raises:
        WrongUse: with a name that could, where one is near.
        DovetailError: it is taken.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").removeprefix("dovetail-")
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or name.startswith("dovetail"):
        good = _NAME.fullmatch(plain) and plain != name and not keyword.iskeyword(plain)
        advice = f"; `{plain}` would do" if good and len(plain) <= LONGEST_NAME else ""
        raise WrongUse(
            f"`{name}` cannot be a plugin's id: write small letters and digits, beginning with a "
            f"letter, `-` between words, without `dovetail`, at most {LONGEST_NAME} characters"
            + advice
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise WrongUse(f"`{name}` is a word of Python's own; `{name}-plugin` would do")
    taken = discover().get(name)
    if taken is not None:
        raise DovetailError(
            f"the id `{name}` is taken by `{taken.distribution}`, which is installed; "
            "choose another, or uninstall that first"
        )


def _rendered(words: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The path of each file of the project, and its text."""
    for path, template in _templates(files("dovetail.cli") / "templates" / "plugin", ""):
        text = template.read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace("{{" + word + "}}", value)
        place = path.replace("PACKAGE", words["package"]).removesuffix(".tmpl")
        yield (".gitignore" if place == "gitignore" else place), text


def _templates(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _templates(item, f"{path}{item.name}/")
        elif item.name.endswith(".tmpl"):
            yield f"{path}{item.name}", item
