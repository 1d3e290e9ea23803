"""A model as it is for one context."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    computed_field,
    field_validator,
    model_validator,
)

from dovetail import ExecutionContext
from dovetail.errors import ValidationFailed
from dovetail.metadata.markers import FromContext, Hidden
from dovetail.metadata.model import MetadataModel

NOBODY = ExecutionContext()


def context(*tags: str, **fields: Any) -> ExecutionContext:
    """A context with these tags."""
    return ExecutionContext(tags=tags, **fields)


class Line(MetadataModel):
    """A line of an order."""

    model_config = ConfigDict(frozen=True)

    title: str = ""
    cost: Annotated[int, Hidden(unless="staff")] = 0
    buyer: Annotated[str | None, FromContext("user_id")] = None


class Point(NamedTuple):
    line: Line
    x: int


@dataclass
class Parcel:
    line: Line


class Wrapper(BaseModel):
    """No `MetadataModel`, but it holds one."""

    line: Line


class Order(MetadataModel):
    """Holds lines in every way."""

    one: Line | None = None
    many: list[Line] = []
    pair: tuple[Line, int] | None = None
    named: dict[str, list[Line]] = {}
    either: Line | str = ""
    some: frozenset[Line] = frozenset()
    queue: deque[Line] = deque()
    sorted: OrderedDict[str, Line] = OrderedDict()
    grouped: defaultdict[str, list[Line]] = defaultdict(list)
    point: Point | None = None
    parcel: Parcel | None = None
    wrapped: Wrapper | None = None
    anything: Any = None


BOARD = Line(title="board", cost=7)
SEEN = Line(title="board", cost=0, buyer="ada")


def test_a_field_nobody_set_is_filled_by_the_context() -> None:
    made = Line().transform(context(user_id="ada"))
    assert made.model_dump(exclude_unset=True) == {"buyer": "ada"}


def test_a_field_somebody_set_stays() -> None:
    assert Line(buyer="bob").transform(context(user_id="ada")).buyer == "bob"
    assert Line(buyer=None).transform(context(user_id="ada")).buyer is None


def test_a_context_that_has_nothing_fills_nothing() -> None:
    made = Line().transform(NOBODY)
    assert made.buyer is None
    assert "buyer" not in made.model_fields_set


def test_properties_metadata_and_attributes_fill_fields() -> None:
    class Note(MetadataModel):
        region: Annotated[str, FromContext("property:region")] = "?"
        team: Annotated[str, FromContext("metadata:team")] = "?"
        tags: Annotated[list[str], FromContext("tags")] = []

    given_context = context("a", properties={"region": "eu"}, metadata={"team": "shop"})
    assert Note().transform(given_context) == Note(region="eu", team="shop", tags=["a"])


def test_the_first_of_several_sources_that_has_something_fills() -> None:
    class Note(MetadataModel):
        who: Annotated[str, FromContext("agent_id"), FromContext("user_id")] = "?"

    assert Note().transform(context(user_id="ada")).who == "ada"
    assert Note().transform(context(user_id="ada", agent_id="bot")).who == "bot"


def test_what_fills_is_validated_and_becomes_what_the_field_holds() -> None:
    class Limit(MetadataModel):
        most: Annotated[int, FromContext("property:most")] = Field(1, ge=1)

    assert Limit().transform(context(properties={"most": "5"})).most == 5
    with pytest.raises(ValidationFailed) as failed:
        Limit().transform(context(properties={"most": 0}))
    (problem,) = failed.value.problems
    assert str(problem) == (
        "most: `most` should be greater than or equal to 1; got 0\n"
        "    → it is the context's `property:most`"
    )


def test_a_filled_field_goes_by_its_name_whatever_its_alias() -> None:
    class Note(MetadataModel):
        user: Annotated[str, FromContext("user_id")] = Field("", alias="team")
        team: str = Field("", alias="user")

    made = Note.model_validate({"user": "shop"}).transform(context(user_id="ada"))
    assert (made.user, made.team) == ("ada", "shop")


def test_validators_of_the_whole_model_see_what_was_filled() -> None:
    class Transfer(MetadataModel):
        giver: Annotated[str | None, FromContext("user_id")] = None
        taker: str

        @model_validator(mode="after")
        def _differ(self) -> Transfer:
            if self.giver == self.taker:
                raise ValueError("nobody gives to themselves")
            return self

    assert Transfer(taker="bob").transform(context(user_id="ada")).giver == "ada"
    with pytest.raises(ValidationFailed, match="nobody gives to themselves"):
        Transfer(taker="ada").transform(context(user_id="ada"))


def test_no_value_is_validated_into_another_one() -> None:
    class Doubled(MetadataModel):
        number: int = 0
        who: Annotated[str | None, FromContext("user_id")] = None

        @field_validator("number")
        @classmethod
        def _double(cls, value: int) -> int:
            return 2 * value

    assert Doubled(number=2).transform(context(user_id="ada")).number == 4


def test_a_hidden_field_shows_its_default() -> None:
    assert BOARD.transform(context("customer")).cost == 0


def test_a_tag_lets_a_field_be_seen() -> None:
    assert BOARD.transform(context("staff")).cost == 7


def test_a_function_lets_a_field_be_seen() -> None:
    class Letter(MetadataModel):
        text: Annotated[str, Hidden(unless=lambda context: context.user_id == "ada")] = "…"

    assert Letter(text="dear").transform(context(user_id="ada")).text == "dear"
    assert Letter(text="dear").transform(context(user_id="bob")).text == "…"


def test_a_function_that_fails_shows_nothing() -> None:
    class Letter(MetadataModel):
        text: Annotated[str, Hidden(unless=lambda context: context.metadata["reader"])] = "…"

    with pytest.raises(KeyError):
        Letter(text="dear").transform(NOBODY)


def test_nothing_tells_that_a_hidden_field_was_set() -> None:
    made = Line(title="board", cost=7).transform(NOBODY)
    assert made == Line(title="board")
    assert made.model_dump(exclude_unset=True) == {"title": "board"}
    assert list(made.model_dump()) == ["title", "cost", "buyer"]
    assert "7" not in repr(made) + made.model_dump_json()


def test_a_field_that_is_filled_may_be_hidden_too() -> None:
    class Note(MetadataModel):
        who: Annotated[str, FromContext("user_id"), Hidden(unless="staff")] = "?"

    assert Note().transform(context(user_id="ada")).who == "?"
    assert Note().transform(context("staff", user_id="ada")).who == "ada"


def test_defaults_are_made_anew_and_from_nothing_that_is_hidden() -> None:
    class Card(MetadataModel):
        number: Annotated[str, Hidden()] = "none"
        uses: Annotated[list[str], Hidden()] = []
        shown: Annotated[str, Hidden()] = Field(default_factory=lambda data: data["number"][-4:])

    card = Card(number="4000 1234", uses=["a"], shown="4000")
    made = card.transform(NOBODY)
    assert (made.number, made.uses, made.shown) == ("none", [], "none")
    made.uses.append("b")
    assert card.transform(NOBODY).uses == []


def test_a_default_that_is_validated_is_validated_here_too() -> None:
    class Pay(MetadataModel):
        model_config = ConfigDict(validate_default=True)

        salary: Annotated[SecretStr, Hidden()] = Field("none")  # type: ignore[assignment]
        hours: Annotated[int, Hidden()] = Field("0", validate_default=False)  # type: ignore[assignment]

    made = Pay(salary=SecretStr("7"), hours=1).transform(NOBODY)
    assert made.salary == SecretStr("none")
    assert repr(made.hours) == "'0'"


def test_validators_see_nothing_half_hidden() -> None:
    class Offer(MetadataModel):
        cost: Annotated[int, Hidden()] = 0
        price: int
        buyer: Annotated[str | None, FromContext("user_id")] = None

        @model_validator(mode="after")
        def _pays(self) -> Offer:
            if not self.cost:
                raise ValueError("an offer that costs nothing is none")
            return self

    made = Offer(cost=3, price=4).transform(context(user_id="ada"))
    assert (made.cost, made.price, made.buyer) == (0, 4, "ada")


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("one", BOARD, SEEN),
        ("many", [BOARD, BOARD], [SEEN, SEEN]),
        ("pair", (BOARD, 1), (SEEN, 1)),
        ("named", {"a": [BOARD]}, {"a": [SEEN]}),
        ("either", BOARD, SEEN),
        ("some", frozenset([BOARD]), frozenset([SEEN])),
        ("queue", deque([BOARD], maxlen=3), deque([SEEN], maxlen=3)),
        ("sorted", OrderedDict(a=BOARD), OrderedDict(a=SEEN)),
        ("grouped", defaultdict(list, a=[BOARD]), defaultdict(list, a=[SEEN])),
        ("point", Point(BOARD, 1), Point(SEEN, 1)),
        ("parcel", Parcel(BOARD), Parcel(SEEN)),
        ("wrapped", Wrapper(line=BOARD), Wrapper(line=SEEN)),
        ("anything", [({"deep": BOARD},)], [({"deep": SEEN},)]),
    ],
)
def test_models_are_transformed_wherever_they_are(name: str, value: Any, seen: Any) -> None:
    order = Order.model_validate({name: value})
    made = getattr(order.transform(context(user_id="ada")), name)
    assert made == seen
    assert type(made) is type(seen)
    assert getattr(order, name) == value


def test_a_model_in_a_default_is_transformed() -> None:
    class Cart(MetadataModel):
        line: Line = BOARD
        secret: Annotated[Line, Hidden()] = BOARD

    made = Cart().transform(context(user_id="ada"))
    assert made.line == SEEN
    assert made.secret.cost == 0


def test_extra_values_are_transformed_and_validated_with_the_rest() -> None:
    class Open(MetadataModel):
        model_config = ConfigDict(extra="allow")

        who: Annotated[str | None, FromContext("user_id")] = None

        @model_validator(mode="after")
        def _has_more(self) -> Open:
            assert self.model_extra
            return self

    made = Open.model_validate({"more": [BOARD]}).transform(context(user_id="ada"))
    assert (made.who, made.model_extra) == ("ada", {"more": [SEEN]})


def test_nothing_that_was_reckoned_from_a_hidden_value_stays() -> None:
    class Pay(MetadataModel):
        monthly: Annotated[int, Hidden()] = 0

        @computed_field  # type: ignore[prop-decorator]
        @cached_property
        def yearly(self) -> int:
            return 12 * self.monthly

    pay = Pay(monthly=2)
    assert pay.yearly == 24
    assert pay.transform(NOBODY).yearly == 0


def test_a_plain_model_whose_hidden_field_has_no_default_shows_nothing() -> None:
    class Plain(BaseModel):
        salary: Annotated[int, Hidden()]

    class Holds(MetadataModel):
        plain: Plain

    with pytest.raises(TypeError, match=r"Plain\.salary` is marked Hidden and has no default"):
        Holds(plain=Plain(salary=7)).transform(NOBODY)


LINES = st.builds(
    Line,
    title=st.text(max_size=5),
    cost=st.integers(),
    buyer=st.one_of(st.none(), st.text(max_size=3)),
)
ORDERS = st.builds(
    Order,
    one=st.none() | LINES,
    many=st.lists(LINES, max_size=3),
    named=st.dictionaries(st.text(max_size=3), st.lists(LINES, max_size=2), max_size=3),
    pair=st.none() | st.tuples(LINES, st.integers()),
    grouped=st.just(defaultdict(list)),
    anything=st.recursive(
        LINES | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            | st.tuples(inner, inner)
        ),
        max_leaves=6,
    ),
)
CONTEXTS = st.builds(
    ExecutionContext, user_id=st.none() | st.text(max_size=3), tags=st.just(["staff"]) | st.just([])
)
ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


def lines_in(value: Any) -> list[Line]:
    """Every line anywhere in it."""
    if isinstance(value, Line):
        return [value]
    if isinstance(value, str):
        return []
    if isinstance(value, BaseModel):
        return lines_in(list(vars(value).values()))
    inner = value.values() if isinstance(value, dict) else value
    return [line for one in inner for line in lines_in(one)] if isinstance(inner, Iterable) else []


@given(ORDERS, CONTEXTS)
def test_what_is_transformed_never_changes(order: Order, given_context: ExecutionContext) -> None:
    before, fields_set = ANYTHING.dump_json(order), order.model_fields_set.copy()
    made = order.transform(given_context)
    for name in ("many", "named"):
        getattr(made, name).clear()
    assert ANYTHING.dump_json(order) == before
    assert order.model_fields_set == fields_set


@given(ORDERS, CONTEXTS)
def test_every_line_is_as_the_context_may_see_it(
    order: Order, given_context: ExecutionContext
) -> None:
    before, after = lines_in(order), lines_in(order.transform(given_context))
    staff = given_context.has_tag("staff")
    assert [line.title for line in after] == [line.title for line in before]
    assert [line.cost for line in after] == [line.cost if staff else 0 for line in before]


@given(ORDERS, CONTEXTS)
def test_what_was_transformed_is_valid_and_transforming_again_changes_nothing(
    order: Order, given_context: ExecutionContext
) -> None:
    made = order.transform(given_context)
    assert made.transform(given_context) == made
    assert Order.model_validate(dict(made)) == made
