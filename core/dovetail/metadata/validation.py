"""Checking values against a model, with problems that a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from dovetail.config.places import dotted
from dovetail.config.raw import Origin, RawConfig
from dovetail.config.validate import explained
from dovetail.errors import Problem, ValidationFailed

if TYPE_CHECKING:
    from dovetail.config.places import KeyPath

M = TypeVar("M", bound=BaseModel)

_DEEPEST = 100
"""Levels of the values that are looked at; models are not nested deeper."""


def validation_problems(model: type[BaseModel], values: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with `values` as those of `model`; empty if nothing is.

    A problem's `where` is the path, such as `items[2].price`, its `hint` what to do about it. No
    problem shows the value of a field that is a `SecretStr` or is named like a secret. An
    exception that a validator should not raise passes through.
    """
    try:
        model.model_validate(values)
    except ValidationError as error:
        return _problems(error, model, values)
    return []


def validated(model: type[M], values: Mapping[str, Any]) -> M:
    """The `model` made of `values`.

    Raises:
        ValidationFailed: something is wrong with them; it holds all the problems.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = _problems(error, model, values)
    # Not from pydantic's error: that one shows what was given, secrets too.
    raise ValidationFailed(model.__name__, problems)


def validated_by_name(model: type[M], values: Mapping[str, Any]) -> M:
    """As `validated`, with values under the names of the fields and not their aliases."""
    try:
        return model.model_validate(values, by_alias=False, by_name=True)
    except ValidationError as error:
        problems = _problems(error, model, values)
    raise ValidationFailed(model.__name__, problems)


class _Given(RawConfig):
    """Values that came from no file: a place in them is its path alone."""

    __slots__ = ()

    def where(self, path: KeyPath) -> str:
        return dotted(path)


def _problems(
    error: ValidationError, model: type[BaseModel], values: Mapping[str, Any]
) -> list[Problem]:
    origins: dict[KeyPath, Origin] = {}
    plain = {str(key): _plain(value, (str(key),), origins) for key, value in values.items()}
    given = _Given(tables=plain, origins=origins, interpolated={}, files=())
    return explained(error, model, plain, config=given, path=())


def _plain(value: Any, path: KeyPath, origins: dict[KeyPath, Origin]) -> Any:
    """`value` as a config has it: dictionaries with text for keys, and lists."""
    origins[path] = Origin("mapping")
    if len(path) > _DEEPEST:
        return ...
    if isinstance(value, Mapping):
        return {str(key): _plain(item, (*path, str(key)), origins) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, (*path, index), origins) for index, item in enumerate(value)]
    return value
