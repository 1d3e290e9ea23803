"""What functions say of themselves."""

from __future__ import annotations

import contextlib
import functools
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field

from dovetail.metadata.functions import (
    FunctionParameter,
    metadata_of,
    parameters_of,
    returns_of,
)
from dovetail.metadata.model import AIMetadata, MetadataModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Lock

    from dovetail import ExecutionContext


class Place(MetadataModel):
    """Where something is."""

    city: str


def google(
    place: str, days: int = 3, *rest: str, unit: Literal["C", "F"] = "C", **more: int
) -> str:
    """Tell the weather.

    For some days
    to come.

    Args:
        place: Where; a city,
            or a village: any.
        days (int, optional): How many days.
        unit: Of temperature.
        *rest: Ignored.

    Returns:
        A sentence: what is to come,
        words: in words.

    Raises:
        ValueError: nobody knows the place.

    It may be wrong.
    """
    return ""


def numpy(place: str, days: int = 3, *, unit: Literal["C", "F"] = "C") -> str:
    """
    Tell the weather.

    For some days
    to come.

    Parameters
    ----------
    place : str
        Where; a city,
        or a village: any.
    days : int, optional
        How many days.
    unit : {'C', 'F'}
        Of temperature.

    Returns
    -------
    str
        A sentence: what is to come,
        words: in words.
    """
    return ""


def sphinx(place: str, days: int = 3, *, unit: Literal["C", "F"] = "C") -> str:
    """Tell the weather.

    For some days
    to come.

    :param str place: Where; a city,
        or a village: any.
    :param days: How many days.
    :type days: int
    :param unit: Of temperature.
    :returns: A sentence: what is to come,
        words: in words.
    :rtype: str
    :raises ValueError: nobody knows the place.
    """
    return ""


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_a_function_is_read_in_every_style(function: Callable[..., str]) -> None:
    assert parameters_of(function) == (
        FunctionParameter(
            name="place",
            json_schema={"type": "string"},
            description="Where; a city,\nor a village: any.",
        ),
        FunctionParameter(
            name="days",
            json_schema={"type": "integer"},
            description="How many days.",
            required=False,
            default=3,
        ),
        FunctionParameter(
            name="unit",
            json_schema={"type": "string", "enum": ["C", "F"]},
            description="Of temperature.",
            required=False,
            default="C",
        ),
    )
    described = "A sentence: what is to come,\nwords: in words."
    assert returns_of(function) == {"type": "string", "description": described}
    prose = "Tell the weather.\n\nFor some days\nto come."
    assert metadata_of(function).description.startswith(prose)
    assert "place" not in metadata_of(function).description


def test_prose_after_the_sections_is_kept() -> None:
    assert metadata_of(google).description.endswith("\n\nIt may be wrong.")


def test_a_function_without_a_docstring_says_nothing() -> None:
    assert metadata_of(lambda: None) == AIMetadata()
    assert parameters_of(lambda one: one) == (FunctionParameter(name="one", json_schema={}),)
    assert returns_of(lambda: None) == {}


def test_field_says_more_than_an_annotation() -> None:
    def function(
        x: Annotated[int, Field(description="How often.", ge=1)],
        y: int = Field(2, le=9, description="How far."),
        z: list[int] = Field(default_factory=list),  # noqa: B008 - as pydantic has it
    ) -> None:
        """Do it.

        Args:
            x: not this
        """

    first, second, third = parameters_of(function)
    assert (first.description, first.json_schema["minimum"], first.required) == (
        "How often.",
        1,
        True,
    )
    assert (second.description, second.json_schema["maximum"]) == ("How far.", 9)
    assert (second.required, second.default) == (False, 2)
    assert (third.required, third.default) == (False, None)


def test_a_model_is_described_whole() -> None:
    ulm = Place(city="Ulm")

    def function(place: Place, home: Place = ulm) -> Place:
        return place

    first, second = parameters_of(function)
    assert first.json_schema["properties"]["city"]["type"] == "string"
    assert second.default == {"city": "Ulm"}
    assert returns_of(function)["title"] == "Place"


def test_a_default_that_json_does_not_have_is_none() -> None:
    marker = object()

    def function(x: Any = marker, y: float = float("inf")) -> None:
        pass

    for parameter in parameters_of(function):
        assert (parameter.required, parameter.default) == (False, None)
        assert json.loads(parameter.model_dump_json())["default"] is None


def with_context(context: ExecutionContext, x: int) -> None:
    """Take the context, which is imported here for type checkers only."""


def with_context_perhaps(x: int, *, context: ExecutionContext | None = None) -> None:
    """As above."""


@pytest.mark.parametrize("function", [with_context, with_context_perhaps])
def test_a_context_is_required_and_not_asked_of_a_caller(function: Callable[..., None]) -> None:
    assert metadata_of(function).requires_context
    assert [each.name for each in parameters_of(function)] == ["x"]
    assert not metadata_of(google).requires_context


class Shop:
    """Sells."""

    def __init__(self, owner: str) -> None:
        self.owner = owner

    def sell(self, thing: str) -> int:
        """Sell it.

        Args:
            thing: what
        """
        return len(thing)

    @classmethod
    def open(cls, place: str) -> Shop:
        """Open one."""
        return cls(place)

    def __call__(self, greeting: str) -> str:
        """Say hello."""
        return greeting


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap it as decorators do."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@contextlib.contextmanager
def visit(place: Place) -> Iterator[None]:
    """Be there for a while."""
    yield


@pytest.mark.parametrize(
    ("function", "description", "names"),
    [
        (Shop.sell, "Sell it.", ["thing"]),
        (Shop("x").sell, "Sell it.", ["thing"]),
        (Shop.open, "Open one.", ["place"]),
        (Shop, "Sells.", ["owner"]),
        (Shop("x"), "Say hello.", ["greeting"]),
        (kept(Shop.sell), "Sell it.", ["thing"]),
        (visit, "Be there for a while.", ["place"]),
        (functools.partial(Shop("x").sell), "Sell it.", ["thing"]),
        (functools.partial(kept(sphinx), "Ulm", days=2), "Tell the weather.", ["days", "unit"]),
    ],
    ids=range(9),
)
def test_whatever_can_be_called_is_read(
    function: Callable[..., Any], description: str, names: list[str]
) -> None:
    assert metadata_of(function).description.partition("\n")[0] == description
    assert [each.name for each in parameters_of(function)] == names


def lock(lock: Lock, x: int) -> None:
    """Take what is imported for type checkers only."""


def sort(key: type[Shop], shop: Shop) -> Shop:
    """Take what JSON does not have."""
    return shop


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lock, "parameter `lock` of `lock` is annotated with `Lock`, which cannot be read at run"),
        (sort, "parameter `shop` of `sort` is annotated with `Shop`, which has no JSON Schema"),
    ],
)
def test_an_annotation_that_cannot_be_used_is_refused_by_name(
    function: Callable[..., Any], said: str
) -> None:
    with pytest.raises(TypeError, match=said) as failed:
        parameters_of(function, leave_out=["key"])
    assert "`leave_out`" in str(failed.value)
    assert failed.value.__cause__ is not None


def test_what_somebody_else_fills_is_left_out() -> None:
    assert [each.name for each in parameters_of(lock, leave_out=["lock"])] == ["x"]
    assert not metadata_of(lock).requires_context
    assert parameters_of(sort, leave_out=["key", "shop"]) == ()


def test_a_result_that_json_does_not_have_is_left_open() -> None:
    assert returns_of(sort) == {}
