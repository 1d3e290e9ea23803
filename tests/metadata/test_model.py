"""Models that say what they are."""

from __future__ import annotations

from typing import Generic, TypeVar

import pytest
from pydantic import ValidationError

from dovetail.metadata.model import AIMetadata, MetadataModel

T = TypeVar("T")


class Joint(MetadataModel):
    """Holds two boards
    together.

    This is said to nobody but readers of the code.
    """

    __metadata__ = {"ai": AIMetadata(tags=("wood",), priority=2), "team": "shop", "since": 1}


class Dovetail(Joint):
    """A joint without glue."""

    __metadata__ = {"since": 2}


class Silent(Joint):
    pass


class Outspoken(Joint):
    """Nobody asks for this."""

    __metadata__ = {"ai": AIMetadata(description="Says it itself.")}


class Heir(Outspoken):
    pass


class LearnedHeir(Outspoken):
    """Knows better than its base."""


class Box(MetadataModel, Generic[T]):
    """Holds one thing."""

    __metadata__ = {"ai": AIMetadata(requires_context=True)}

    thing: T


def test_ai_metadata_is_empty_until_something_is_said() -> None:
    assert AIMetadata().model_dump() == {
        "description": "",
        "examples": (),
        "generated_by": None,
        "tags": (),
        "priority": 0,
        "requires_context": False,
        "provides_context": False,
    }


def test_ai_metadata_cannot_change_not_even_in_its_examples() -> None:
    metadata = AIMetadata(examples=({"city": ["Ulm"]},), tags=("a",))
    with pytest.raises(ValidationError):
        metadata.priority = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        metadata.examples[0]["city"].append("Bonn")


def test_metadata_is_inherited_key_by_key() -> None:
    assert Dovetail.get_metadata() == {
        "ai": AIMetadata(description="A joint without glue.", tags=("wood",), priority=2),
        "team": "shop",
        "since": 2,
    }


def test_metadata_belongs_to_the_class_whatever_is_done_to_what_it_gave() -> None:
    Joint.get_metadata()["team"] = "nobody"
    assert Joint.get_metadata()["team"] == "shop"


def test_a_model_is_described_by_the_first_paragraph_of_its_docstring() -> None:
    assert Joint.get_ai_metadata().description == "Holds two boards together."


def test_what_a_model_says_itself_goes_before_its_docstring() -> None:
    assert Outspoken.get_ai_metadata().description == "Says it itself."


def test_a_docstring_goes_before_the_description_of_a_base() -> None:
    assert LearnedHeir.get_ai_metadata().description == "Knows better than its base."
    assert Heir.get_ai_metadata().description == "Says it itself."


@pytest.mark.parametrize("model", [Silent, MetadataModel])
def test_no_other_class_lends_its_docstring(model: type[MetadataModel]) -> None:
    assert model.get_ai_metadata().description == ""


def test_a_generic_model_is_described_by_what_it_is_made_of() -> None:
    metadata = AIMetadata(description="Holds one thing.", requires_context=True)
    assert Box[int].get_ai_metadata() == Box.get_ai_metadata() == metadata


def test_what_is_no_ai_metadata_is_refused_when_the_class_is_defined() -> None:
    with pytest.raises(TypeError, match=r'__metadata__\["ai"\]` is a dict; it should be an AIMeta'):

        class Wrong(MetadataModel):
            __metadata__ = {"ai": {"description": "only a dictionary"}}


def test_a_field_may_be_named_metadata() -> None:
    class Tagged(MetadataModel):
        metadata: str

    assert Tagged(metadata="mine").metadata == "mine"
    assert Tagged.describe()["properties"]["metadata"]["type"] == "string"


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Joint.model_validate({"glue": True})
