"""Modules in a repository, as documents and back."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from dovetail import Problem
from dovetail_modules.definition import ModuleDefinition
from dovetail_modules.sourced import Broken, SourcedModule

if TYPE_CHECKING:
    from dovetail_modules.repository import ModuleRepository, Row

PAGE = 500


class StoredModule(BaseModel):
    """One version of a module in the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int
    changed_at: datetime
    definition: ModuleDefinition | None
    """What it was; None if this version is its deletion."""


def stored(row: Row) -> StoredModule:
    """The version that a row holds.

    Raises:
        ValidationError: its document is no module.
    """
    name, version, at, document = row
    definition = None if document is None else ModuleDefinition.model_validate_json(document)
    return StoredModule(name=name, version=version, changed_at=at, definition=definition)


def document_of(definition: ModuleDefinition) -> str:
    """The document of a module: what it does not say is left to its default."""
    return definition.model_dump_json(exclude_defaults=True)


async def read_store(
    repository: ModuleRepository, name: str
) -> tuple[list[SourcedModule], list[Broken]]:
    """All modules of a repository, and those that cannot be understood."""
    found: list[SourcedModule] = []
    broken: list[Broken] = []
    after = ""
    while rows := await repository.latest(after=after, limit=PAGE):
        for row in rows:
            where = f"store {name}, `{row[0]}` version {row[1]}"
            try:
                definition = stored(row).definition
            except ValidationError:
                problem = Problem("it is no module", where, "write it again, or delete it")
                broken.append(Broken(row[0], problem))
                continue
            if definition is not None:
                found.append(SourcedModule(definition, "store", where))
        after = rows[-1][0]
    return found, broken
