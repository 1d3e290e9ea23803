"""Validating a table against a Settings model, with errors that an operator can act on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from dovetail.config.entries import RESERVED_KEYS
from dovetail.config.nearest import nearest
from dovetail.config.places import dotted
from dovetail.config.raw import leaves, secret_text
from dovetail.config.rendering import render
from dovetail.config.shape import Shape
from dovetail.errors import Problem
from dovetail.redaction import looks_secret, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from dovetail.config.places import KeyPath
    from dovetail.config.raw import RawConfig

M = TypeVar("M", bound=BaseModel)

_LONGEST_VALUE = 60
_MOST_KEYS = 20
_SUBJECT = re.compile(r"^(?:Input|String|Value|List|Tuple|Set|Dictionary|Data|Bytes) should ")
_TABLE_TYPES = {"model_type", "model_attributes_type", "dict_type", "dataclass_type"}
_KINDS = {
    "providers": RESERVED_KEYS["provider"],
    "middleware": RESERVED_KEYS["middleware"],
    "sessions": RESERVED_KEYS["sessions"],
    "plugins": RESERVED_KEYS["plugin"] - {"use"},
}


def validate(
    model: type[M], values: Mapping[str, object], *, config: RawConfig, path: KeyPath
) -> tuple[M | None, list[Problem]]:
    """The model made of `values`, or `None` and everything that is wrong with them.

    `path` is where in the config the values stand. What is wrong with a value that could not be
    interpolated is among the config's problems already and not said again, so there may be neither
    a model nor a problem. An exception that a validator should not raise passes through.
    """
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        return None, explained(error, model, values, config=config, path=path)


def explained(
    error: ValidationError,
    model: type[BaseModel],
    values: Mapping[str, object],
    *,
    config: RawConfig,
    path: KeyPath,
) -> list[Problem]:
    """What pydantic found wrong with `values`, which stand at `path` in the config."""
    details = error.errors(include_url=False, include_input=False)
    return _Translation(Shape(model), values, config, path).problems(details)


class _Translation:
    """Turns pydantic's account of what is wrong with one table into problems."""

    def __init__(
        self, shape: Shape, values: Mapping[str, object], config: RawConfig, path: KeyPath
    ) -> None:
        self._shape = shape
        self._values = values
        self._raw = config
        self._path = path
        declared = (secret_text(value) for at, value in leaves(dict(values)) if shape.is_secret(at))
        self._secrets = self._raw.secrets().union(declared)

    def problems(self, details: list[ErrorDetails]) -> list[Problem]:
        """One problem for each value; a union has one error for each of its alternatives."""
        by_value: dict[KeyPath, list[ErrorDetails]] = {}
        for detail in details:
            by_value.setdefault(self._locate(detail), []).append(detail)
        return [
            self._problem(at, same)
            for at, same in by_value.items()
            if (*self._path, *at) not in self._raw.failed
        ]

    def _locate(self, detail: ErrorDetails) -> KeyPath:
        """The path within the table, without the names of union members that pydantic puts in."""
        at: KeyPath = ()
        level: object = self._values
        for key in detail["loc"]:
            if isinstance(level, dict) and str(key) in level:
                at = (*at, str(key))
                level = level[str(key)]
            elif isinstance(level, list) and isinstance(key, int) and key < len(level):
                at = (*at, key)
                level = level[key]
        return (*at, detail["loc"][-1]) if detail["type"] == "missing" else at

    def _problem(self, at: KeyPath, details: list[ErrorDetails]) -> Problem:
        where = self._raw.where((*self._path, *at))
        kind = details[0]["type"]
        name = f"`{dotted(at)}`"
        if kind == "extra_forbidden":
            return Problem(f"there is no key {name} here", where, self._hint_for_unknown(at))
        description = self._shape.description(at) if at else ""
        if kind == "missing":
            hint = f"add it: {description}" if description else ""
            return Problem(f"{name} is missing", where, hint)
        message = " or ".join(dict.fromkeys(map(_said, details)))
        message = message.replace(" or should be ", " or ")
        if at:
            message = f"{name} {message}" if message.startswith("should ") else f"{name}: {message}"
        got = self._got(at)
        text = redact(f"{message}; got {got}" if got else message, self._secrets)
        hint = self._hint_for_duration(at) if kind == "duration" else self._hint_for_choice(at)
        return Problem(text, where, hint or description)

    def _got(self, at: KeyPath) -> str:
        """What stands in the config, unless that is nobody's business."""
        path = (*self._path, *at)
        named_secret = any(looks_secret(key) for key in path if isinstance(key, str))
        if not at or path not in self._raw.origins or named_secret or self._shape.is_secret(at):
            return ""
        if path in self._raw.interpolated:
            written = self._raw.interpolated[path].written
            return f"what {render(redact(written), _LONGEST_VALUE)} stands for"
        value = self._raw.value(path)
        text = redact(value, self._secrets) if isinstance(value, str) else value
        return render(text, _LONGEST_VALUE)

    def _hint_for_unknown(self, at: KeyPath) -> str:
        known = self._shape.keys(at[:-1])
        kind = str(self._path[0]) if self._path and len(at) == 1 else ""
        reserved = _KINDS.get(kind, frozenset())
        near = nearest(str(at[-1]), [*known, *sorted(reserved)])
        if near:
            return f"did you mean `{near}`?"
        if len(known) > _MOST_KEYS:
            return ""
        return f"the keys are: {', '.join(known)}" if known else "it takes no settings"

    def _hint_for_choice(self, at: KeyPath) -> str:
        value = self._raw.value((*self._path, *at))
        if not isinstance(value, str) or not self._got(at).startswith('"'):
            return ""
        near = nearest(value, self._shape.choices(at))
        return f'did you mean "{near}"?' if near else ""

    def _hint_for_duration(self, at: KeyPath) -> str:
        from dovetail.config.durations import nearest_duration

        value = self._raw.value((*self._path, *at))
        if not isinstance(value, str) or not self._got(at).startswith('"'):
            return ""
        near = nearest_duration(value)
        return f'did you mean "{near}"?' if near else ""


def _said(detail: ErrorDetails) -> str:
    """The library's or the plugin's words, in ours where theirs are Python's."""
    kind = detail["type"]
    if kind in _TABLE_TYPES:
        return "should be a table"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = _SUBJECT.sub("should ", message)
    return message.partition(", ")[0] if kind.endswith("_parsing") else message
