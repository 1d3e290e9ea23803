"""The JSON Schema of a model with what is known of it and its fields."""

from __future__ import annotations

import json
from importlib import import_module
from types import GenericAlias
from typing import Annotated, Any, Literal

from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    create_model,
)

from dovetail.metadata.markers import FromContext, Hidden
from dovetail.metadata.model import AIMetadata, MetadataModel

# It ships no types.
Draft202012Validator: Any = import_module("jsonschema").Draft202012Validator


class Line(MetadataModel):
    """One line of an order."""

    price: Annotated[int, Hidden(unless="staff")] = Field(0, json_schema_extra={"unit": "EUR"})
    note: str = ""


class Order(MetadataModel):
    __metadata__ = {"ai": AIMetadata(description="What is bought."), "made_by": object}

    buyer: Annotated[str | None, FromContext("user_id")] = None
    lines: list[Line] = []
    first: Line | None = None


class Tree(MetadataModel):
    """Holds itself."""

    kind: str = Field("oak", json_schema_extra={"unit": "species"})
    branches: list[Tree] = []


class Renamed(MetadataModel):
    plain: int = Field(0, alias="Plain", json_schema_extra={"n": 1})
    chosen: int = Field(  # type: ignore[pydantic-alias]
        0,
        validation_alias=AliasChoices(AliasPath("deep", "er"), AliasPath("flat"), "last"),
        json_schema_extra={"n": 2},
    )
    deep: int = Field(0, validation_alias=AliasPath("a", 0), json_schema_extra={"n": 3})  # type: ignore[pydantic-alias]


def property_metadata(schema: dict[str, Any]) -> dict[str, Any]:
    """What is said of each property."""
    return {name: described["metadata"] for name, described in schema["properties"].items()}


def test_a_description_is_the_json_schema_and_what_the_model_says_of_itself() -> None:
    described = Order.describe()
    assert described["metadata"]["ai"]["description"] == "What is bought."
    assert described["metadata"]["made_by"] == "<object>"
    assert property_metadata(described) == {
        "buyer": {"from_context": "user_id"},
        "lines": {},
        "first": {},
    }
    del described["metadata"], described["$defs"]["Line"]["metadata"]
    for schema in (described, described["$defs"]["Line"]):
        for each in schema["properties"].values():
            del each["metadata"]
    assert described == Order.model_json_schema()


def test_models_within_it_are_described_too() -> None:
    line = Order.describe()["$defs"]["Line"]
    assert line["metadata"]["ai"]["description"] == "One line of an order."
    metadata = {"unit": "EUR", "hidden": True, "unless": "staff"}
    assert property_metadata(line) == {"price": metadata, "note": {}}


def test_a_model_that_holds_itself_is_described_at_the_top() -> None:
    described = Tree.describe()
    assert described["metadata"]["ai"]["description"] == "Holds itself."
    assert property_metadata(described["$defs"]["Tree"])["kind"] == {"unit": "species"}


def test_fields_are_found_under_their_aliases() -> None:
    named = {name: each.get("n") for name, each in property_metadata(Renamed.describe()).items()}
    assert named == {"Plain": 1, "flat": 2, "deep": 3}


def test_fields_are_found_where_aliases_are_not_taken() -> None:
    class ByName(MetadataModel):
        model_config = ConfigDict(validate_by_alias=False, validate_by_name=True)

        plain: int = Field(0, alias="Plain", json_schema_extra={"n": 1})

    assert list(property_metadata(ByName.describe()).values()) == [{"n": 1}]


def test_the_function_that_decides_is_named() -> None:
    def is_owner(_: object) -> bool:
        return False

    class Owned(MetadataModel):
        mine: Annotated[int, Hidden(unless=is_owner)] = 0
        nobodys: Annotated[int, Hidden()] = 0

    assert property_metadata(Owned.describe()) == {
        "mine": {"hidden": True, "unless": "is_owner"},
        "nobodys": {"hidden": True},
    }


def test_what_json_does_not_have_is_named_by_its_type_and_secrets_stay_secret() -> None:
    class Odd(MetadataModel):
        __metadata__ = {"password": SecretStr("hush"), "limit": float("inf"), "at": object()}

    described = Odd.describe()
    assert json.dumps(described, allow_nan=False)
    assert described["metadata"]["password"] == "**********"
    assert described["metadata"]["limit"] is None
    assert described["metadata"]["at"] == "<object>"


def test_a_type_that_json_does_not_have_is_left_open() -> None:
    class Foreign:
        pass

    class Holds(MetadataModel):
        foreign: Foreign = Field(json_schema_extra={"n": 1})

    assert property_metadata(Holds.describe()) == {"foreign": {"n": 1}}


NAMES = st.from_regex(r"[a-z]{1,8}_x", fullmatch=True)
TYPES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([int, str, bool, float, Literal["a", 1], SecretStr, Line, Tree, bytes]),
    lambda inner: st.one_of(
        inner.map(lambda one: GenericAlias(list, one)),
        inner.map(lambda one: GenericAlias(dict, (str, one))),
        inner.map(lambda one: one | None),
        st.tuples(inner, inner).map(lambda two: GenericAlias(tuple, two)),
    ),
    max_leaves=4,
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
MARKS = st.sampled_from([Hidden(), Hidden(unless="x"), FromContext("property:y")])


@st.composite
def models(draw: st.DrawFn) -> type[MetadataModel]:
    """A model of any shape."""
    fields: dict[str, Any] = {}
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        extra = draw(st.dictionaries(NAMES, JSON, max_size=2))
        annotation = draw(TYPES)
        if draw(st.booleans()):
            annotation = Annotated[annotation, draw(MARKS)]
        fields[name] = (annotation, Field(None, json_schema_extra=extra))
    return create_model("Made", __base__=draw(st.sampled_from([MetadataModel, Order])), **fields)


@given(models())
def test_every_description_is_a_json_schema_of_all_fields(model: type[MetadataModel]) -> None:
    described = model.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    Draft202012Validator.check_schema(described)
    assert property_metadata(described).keys() == model.model_fields.keys()
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra or {}
        assert isinstance(extra, dict)
        assert extra.items() <= property_metadata(described)[name].items()


def test_plain_models_within_it_have_metadata_of_their_fields() -> None:
    class Plain(BaseModel):
        size: int = Field(1, json_schema_extra={"unit": "mm"})

    class Holds(MetadataModel):
        plain: Plain = Plain()

    assert property_metadata(Holds.describe()["$defs"]["Plain"]) == {"size": {"unit": "mm"}}
