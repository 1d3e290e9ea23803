"""What a function says of itself by its signature and its docstring.

A function here is whatever can be called: a method, a `functools.partial`, a class, an object with
`__call__`.
"""

from __future__ import annotations

import functools
import inspect
from types import SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_jsonable_python

from dovetail.chat.messages import JsonObject, Model
from dovetail.context import ExecutionContext
from dovetail.metadata.docstrings import read_docstring
from dovetail.metadata.model import AIMetadata

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pydantic.json_schema import JsonSchemaMode

    from dovetail.metadata.docstrings import Documented

_EMPTY = inspect.Parameter.empty
_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class FunctionParameter(Model):
    """One parameter of a function, as a caller should know it."""

    name: str
    json_schema: JsonObject
    """The JSON Schema of its annotation; empty where there is none."""
    description: str = ""
    """From `Field(description=...)` in the annotation, else from the docstring."""
    required: bool = True
    """Whether there is no default."""
    default: Any = None
    """The default as JSON has it; None if there is none, or JSON does not have it."""


def metadata_of(function: Callable[..., Any]) -> AIMetadata:
    """The prose of the function's docstring, and whether it takes an `ExecutionContext`.

    Sections on parameters, results and exceptions are left out of the prose.
    """
    parameters = inspect.signature(function).parameters.values()
    return AIMetadata(
        description=_documented(function).description,
        requires_context=any(_is_context(_evaluated(function, each)) for each in parameters),
    )


def parameters_of(
    function: Callable[..., Any], *, leave_out: Collection[str] = ()
) -> tuple[FunctionParameter, ...]:
    """The parameters that a caller gives, in order.

    Those that take an `ExecutionContext` are not among them, nor `self`, `*args` and `**kwargs`,
    nor what `leave_out` names because somebody else fills it.

    Raises:
        TypeError: an annotation cannot be read, or has no JSON Schema.
    """
    documented = _documented(function)
    found = []
    for parameter in _named(function):
        annotation = _evaluated(function, parameter)
        if parameter.name in leave_out or _is_context(annotation):
            continue
        if isinstance(annotation, _Unreadable):
            raise _refused(function, parameter, "cannot be read at run time") from annotation.error
        try:
            described = documented.parameters.get(parameter.name, "")
            found.append(_parameter(parameter, annotation, described))
        except PydanticUserError as error:
            raise _refused(function, parameter, "has no JSON Schema") from error
    return tuple(found)


def returns_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The JSON Schema of what the function returns, with the docstring's description of it.

    What cannot be said in JSON is left open: the result is empty for an annotation that has no
    JSON Schema or is missing.
    """
    returned = inspect.signature(function).return_annotation
    annotation = _evaluated(function, SimpleNamespace(annotation=returned))
    schema: dict[str, Any] = {}
    if not isinstance(annotation, _Unreadable):
        try:
            schema = _schema(annotation, mode="serialization")
        except PydanticUserError:
            schema = {}
    described = _documented(function).returns
    return {**schema, "description": described} if described else schema


class _Quiet(GenerateJsonSchema):
    """Says nothing of a default that JSON does not have: there is none in the schema then."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}


def _parameter(parameter: inspect.Parameter, annotation: Any, described: str) -> FunctionParameter:
    if parameter.default is _EMPTY:
        field = FieldInfo.from_annotation(annotation)
        whole = annotation
    else:
        field = FieldInfo.from_annotated_attribute(annotation, parameter.default)
        whole = Annotated[field.annotation, field]
    schema = _schema(whole)
    return FunctionParameter(
        name=parameter.name,
        default=schema.pop("default", None),
        json_schema=schema,
        description=field.description or described,
        required=field.is_required(),
    )


def _schema(annotation: Any, mode: JsonSchemaMode = "validation") -> dict[str, Any]:
    schema = TypeAdapter[Any](annotation).json_schema(schema_generator=_Quiet, mode=mode)
    plain: dict[str, Any] = to_jsonable_python(schema, inf_nan_mode="null")
    return plain


class _Unreadable:
    """An annotation that could not be evaluated, and why."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _evaluated(function: Callable[..., Any], annotated: Any) -> Any:
    """What a parameter is annotated with; each alone, as some may exist for type checkers only."""
    if annotated.annotation is _EMPTY:
        return Any
    # The context is what most functions import for type checkers only.
    names = {"ExecutionContext": ExecutionContext, **getattr(_behind(function), "__globals__", {})}
    holder = SimpleNamespace(__annotations__={"it": annotated.annotation})
    try:
        return get_type_hints(holder, names, include_extras=True)["it"]
    except Exception as error:  # noqa: BLE001 - anything may go wrong in somebody's annotation
        return _Unreadable(error)


def _is_context(annotation: Any) -> bool:
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return any(_is_context(part) for part in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, ExecutionContext)


def _named(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Its parameters without the starred ones and without a method's own object."""
    found = list(inspect.signature(function).parameters.values())
    if found and found[0].name in ("self", "cls") and found[0].annotation is _EMPTY:
        del found[0]
    return [parameter for parameter in found if parameter.kind not in _STARRED]


def _documented(function: Callable[..., Any]) -> Documented:
    names = [parameter.name for parameter in _named(function)]
    return read_docstring(inspect.getdoc(_called(function)) or "", names)


def _called(function: Any) -> Any:
    """The class, or the function or method, that is called in the end."""
    while isinstance(function, functools.partial):
        function = function.func
    known = isinstance(function, type) or inspect.isroutine(function)
    return function if known else type(function).__call__


def _behind(function: Any) -> Any:
    """The function in whose module the annotations were written."""
    called = _called(function)
    maker = inspect.getattr_static(called, "__init__") if isinstance(called, type) else called
    plain = inspect.unwrap(maker)
    return getattr(plain, "__func__", plain)


def _refused(function: Callable[..., Any], parameter: inspect.Parameter, reason: str) -> TypeError:
    name = getattr(_behind(function), "__qualname__", repr(function))
    shown = parameter.annotation
    shown = shown if isinstance(shown, str) else getattr(shown, "__name__", repr(shown))
    return TypeError(
        f"parameter `{parameter.name}` of `{name}` is annotated with `{shown}`, which {reason}; "
        "annotate it with a type that exists outside `if TYPE_CHECKING:` and that JSON can hold, "
        "or name it in `leave_out`"
    )
