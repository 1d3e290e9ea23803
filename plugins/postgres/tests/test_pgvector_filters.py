"""A filter means in SQL what it means in Python, whatever is in it and in the metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dovetail_vectorstore.backend import Where
from dovetail_vectorstore.filters import parse_filters, passes
from dovetail_vectorstore.testing import ADA, row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail_postgres.vectors import PostgresVectors

# Few, so that often one is in both; of those at the ends of what can be kept.
TEXTS = st.text("aé'\"\\%$\0\ud7ff\ud800\udfff\ue000\uffff\U0001f600", max_size=3)
NUMBERS = st.sampled_from(
    [
        *(0, 1, -1, 2, 2**53, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)),
        *(0.0, -0.0, 1.0, 0.1, 1.5, 2.0**53, 2.0**62, 2.0**63, 1e16, 1e300, -1e300, 5e-324),
    ]
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
NAMES = st.sampled_from(["a", "b", "a.b", "é", "0", "\0", "'\"; --"])
VALUES = st.recursive(
    SCALARS | st.just(10**30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
METADATA = st.dictionaries(NAMES, VALUES, max_size=4)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(".".join) | st.just("source")
RANGES = ["$gt", "$gte", "$lt", "$lte"]
CONDITIONS = (
    SCALARS
    | st.dictionaries(st.sampled_from(RANGES), NUMBERS | TEXTS, min_size=1)
    | st.dictionaries(st.sampled_from(["$eq", "$ne"]), SCALARS, min_size=1)
    | st.dictionaries(st.sampled_from(["$in", "$nin"]), st.lists(SCALARS, max_size=3), min_size=1)
    | st.dictionaries(st.just("$exists"), st.booleans(), min_size=1)
)
FILTERS = st.recursive(
    st.dictionaries(PATHS, CONDITIONS, max_size=2),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"$or": parts})
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"$and": parts})
        | inner.map(lambda part: {"$not": part})
    ),
    max_leaves=4,
)


@settings(
    deadline=None,
    max_examples=100,
    # The collection is begun anew by each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(METADATA, min_size=1, max_size=8), st.lists(FILTERS, min_size=1, max_size=8))
@example([{"a": "a"}, {"a": "a\ue000"}], [{"a": {h: f"a{c}"}} for h in RANGES for c in "\0\ud800"])
@example([{"a": [[5]]}, {"a": {"b": 5}}, {"a": [{}]}], [{"a": {"$gt": 1}}, {"a": 5}, {"a": None}])
@example([{"a": float(2**62)}, {"a": 2**62}, {"a": [[1]]}], [{"a": 2**62}, {"a": {"$gte": 2**62}}])
async def test_as_in_python(
    vectors: PostgresVectors, known: list[Mapping[str, Any]], filters: list[Mapping[str, Any]]
) -> None:
    rows = [
        row(f"text {n}", item_id=f"{n}", source=["a", "é", "\0a"][n % 3], metadata=metadata)
        for n, metadata in enumerate(known)
    ]
    await vectors.drop("docs")
    await vectors.put("docs", rows, model="")
    assert {item.id: item for item in await vectors.page("docs", Where(ADA))} == {
        given.item.id: given.item for given in rows
    }
    for written in filters:
        condition = parse_filters(written)
        found = await vectors.page("docs", Where(ADA, condition))
        expected = [given.item.id for given in rows if passes(given.item, condition)]
        assert [item.id for item in found] == expected, written


async def test_the_largest_filter_there_may_be_is_asked(vectors: PostgresVectors) -> None:
    await vectors.put("docs", [row("text", metadata={"a": 199.0})], model="")
    many = {"a": {"$in": list(range(200))}}
    where = Where(ADA, parse_filters({"$and": [many] * 200}))
    assert len(await vectors.page("docs", where)) == 1


async def test_metadata_may_be_nested_as_deep_as_it_comes(vectors: PostgresVectors) -> None:
    deep: dict[str, Any] = {"a": 1}
    for _ in range(300):
        deep = {"a": deep}
    given = row("text", metadata=deep)
    await vectors.put("docs", [given], model="")
    path = ".".join("a" * 301)
    for number, expected in ((1, [given.item]), (2, [])):
        where = Where(ADA, parse_filters({path: number}))
        assert await vectors.page("docs", where) == expected
