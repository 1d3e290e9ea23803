"""A model as it is for one context: fields filled by the context, fields hidden from it."""

from __future__ import annotations

from collections import deque
from copy import copy
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from dovetail.chat.frozen import FrozenDict, FrozenList
from dovetail.errors import Problem, ValidationFailed
from dovetail.metadata.markers import FromContext, Hidden, check_markers, markers_of
from dovetail.metadata.validation import validated_by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pydantic.fields import FieldInfo

    from dovetail.context import ExecutionContext

M = TypeVar("M", bound=BaseModel)
K = TypeVar("K", FromContext, Hidden)


def transformed(model: M, context: ExecutionContext) -> M:
    """A copy of `model`, and of every model in it, as `MetadataModel.transform` describes it.

    All is filled before anything is hidden, so that validators see whole models.
    """
    return _hidden(_filled(model, context), context)


def _filled(model: M, context: ExecutionContext) -> M:
    made = _copied(model, lambda inner: _filled(inner, context))
    sources: dict[str, str] = {}
    found: dict[str, Any] = {}
    for name, mark in _marked(model, FromContext):
        value = mark.value(context)
        if value is not None and name not in model.model_fields_set and name not in found:
            found[name], sources[name] = value, mark.source
    if found:
        try:
            checked = _made_again(made, found)
        except ValidationFailed as failed:
            told = [_told(problem, sources) for problem in failed.problems]
            raise ValidationFailed(failed.model, told) from None
        vars(made).update((name, getattr(checked, name)) for name in found)
        made.model_fields_set.update(found)
    return made


def _told(problem: Problem, sources: Mapping[str, str]) -> Problem:
    source = sources.get(problem.where)
    return replace(problem, hint=f"it is the context's `{source}`") if source else problem


def _hidden(model: M, context: ExecutionContext) -> M:
    declared = type(model).model_fields
    hidden = dict.fromkeys(n for n, mark in _marked(model, Hidden) if mark.hides(context))
    if any(declared[name].is_required() for name in hidden):
        check_markers(type(model))  # of a model that is no MetadataModel, nobody did
    made = _copied(model, lambda inner: _hidden(inner, context), without=hidden)
    made.model_fields_set.difference_update(hidden)
    values = vars(made)
    for name in hidden:
        # It may be made from other fields, but from nothing that is hidden.
        default = declared[name].get_default(call_default_factory=True, validated_data=values)
        values[name] = _each(default, lambda inner: _hidden(inner, context))
    checked = [name for name in hidden if _validates_default(model, declared[name])]
    if checked:
        again = _made_again(made, {})
        values.update((name, getattr(again, name)) for name in checked)
    # Nothing but fields, for a cached property may show what is hidden; in the order of validation.
    ordered = {name: values[name] for name in declared if name in values}
    values.clear()
    values.update(ordered)
    return made


def _marked(model: BaseModel, kind: type[K]) -> Iterator[tuple[str, K]]:
    """The fields that are marked so, with the marker."""
    for name, field in type(model).model_fields.items():
        for mark in markers_of(field):
            if isinstance(mark, kind):
                yield name, mark


def _validates_default(model: BaseModel, field: FieldInfo) -> bool:
    if field.validate_default is not None:
        return field.validate_default
    return bool(model.model_config.get("validate_default"))


def _made_again(model: M, values: Mapping[str, Any]) -> M:
    """The model validated with `values` beside those that were set.

    Of that only single fields are taken: validators that would change a value once more do no harm.
    """
    given = {name: vars(model)[name] for name in vars(model) if name in model.model_fields_set}
    return validated_by_name(type(model), {**(model.model_extra or {}), **given, **values})


def _copied(model: M, change: Callable[[Any], Any], without: Iterable[str] = ()) -> M:
    """A copy with each model below changed, and without the fields that are hidden."""
    made = model.model_copy()
    values = {name: _each(vars(model)[name], change) for name in vars(model).keys() - set(without)}
    vars(made).clear()
    vars(made).update(values)
    if made.model_extra:
        made.model_extra.update(_each(made.model_extra, change))
    return made


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """`value` with its models changed, in containers of the same kind."""
    made: Any = value
    match value:
        case BaseModel():
            made = change(value)
        case FrozenDict() | FrozenList():
            pass  # they hold JSON and no models
        case dict():
            made = copy(value)
            made.update((key, _each(item, change)) for key, item in value.items())
        case list() | deque():
            made = copy(value)
            for index, item in enumerate(value):
                made[index] = _each(item, change)
        case tuple() if hasattr(value, "_make"):
            made = value._make(_each(item, change) for item in value)
        case tuple() | set() | frozenset():
            made = type(value)(_each(item, change) for item in value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            made = copy(value)
            for field in fields(value):
                object.__setattr__(made, field.name, _each(getattr(value, field.name), change))
    return made
