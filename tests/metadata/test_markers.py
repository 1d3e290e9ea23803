"""Markers that could not do what they say are refused before anything is made."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from typing_extensions import TypeAliasType

from dovetail.metadata.markers import FromContext, Hidden
from dovetail.metadata.model import MetadataModel

Veiled = TypeAliasType("Veiled", Annotated[str, Hidden()])


def test_a_hidden_field_needs_a_default() -> None:
    with pytest.raises(TypeError, match=r"Pay\.salary` is marked Hidden and has no default"):

        class Pay(MetadataModel):
            salary: Annotated[int, Hidden()]


def test_a_filled_field_needs_a_default() -> None:
    with pytest.raises(TypeError, match=r"Note\.author` is marked FromContext and has no default"):

        class Note(MetadataModel):
            author: Annotated[str, FromContext("user_id")]


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[str, Hidden()] | None,
        list[Annotated[str, Hidden()]],
        dict[str, list[Annotated[str, Hidden()] | int]],
        Veiled,
        list[Veiled],
    ],
    ids=str,
)
def test_a_marker_inside_a_type_would_hide_nothing_and_is_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match=r"Pay\.salary` has Hidden inside its type"):
        type("Pay", (MetadataModel,), {"__annotations__": {"salary": annotation}, "salary": None})


def test_a_model_that_awaits_a_type_is_checked_when_it_is_complete() -> None:
    class Pay(MetadataModel):
        salary: Annotated[Later, Hidden()]  # type: ignore[name-defined] # noqa: F821 - given below

    with pytest.raises(TypeError, match="is marked Hidden and has no default"):
        Pay.model_rebuild(_types_namespace={"Later": int, "Annotated": Annotated, "Hidden": Hidden})


@pytest.mark.parametrize("source", ["user_idd", "_trace", "fork", "", "property:", "state:x"])
def test_nothing_is_filled_from_what_no_context_has(source: str) -> None:
    with pytest.raises(ValueError, match="is nothing that a context has"):
        FromContext(source)


def test_the_attribute_that_was_meant_is_told() -> None:
    with pytest.raises(ValueError, match="did you mean `user_id`"):
        FromContext("userid")


async def never(_: object) -> bool:
    return True


def test_hiding_is_decided_without_waiting() -> None:
    with pytest.raises(TypeError, match="is a coroutine function"):
        Hidden(unless=never)  # type: ignore[arg-type]


def test_an_empty_tag_is_refused() -> None:
    with pytest.raises(ValueError, match="`unless` is empty"):
        Hidden(unless="")
