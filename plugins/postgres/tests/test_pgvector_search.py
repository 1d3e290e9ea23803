"""What a search finds: by the index as by looking at all, and never what is another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError

from dovetail_postgres.vectors.settings import PgvectorSettings
from dovetail_vectorstore import Scope
from dovetail_vectorstore.backend import Where
from dovetail_vectorstore.errors import ItemRefused
from dovetail_vectorstore.filters import parse_filters
from dovetail_vectorstore.testing import ADA, BOB, EVERYBODY, row, texts_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from dovetail_postgres.vectors import PostgresVectors
    from dovetail_vectorstore.items import Row
    from plugins.postgres.tests.conftest import OpenVectors
    from plugins.postgres.tests.server import Server

COUNT, SIZE, RARE = 4_000, 32, 500
INDEX = "SELECT idx_scan FROM pg_stat_user_indexes WHERE schemaname = $1 AND indexrelname = $2"


@pytest.fixture(scope="module")
def cloud() -> list[Row]:
    """Vectors all round; every five-hundredth item is rare, and Bob's are few."""
    random = np.random.default_rng(3)
    return [
        row(
            f"cloud number{n}",
            random.normal(size=SIZE).tolist(),
            item_id=f"{n}",
            scope=BOB if n % 100 == 7 else ADA,
            metadata={"rare": n % RARE == 0, "page": n % 10},
        )
        for n in range(COUNT)
    ]


@pytest.fixture(scope="module")
def schema() -> str:
    """One for all these tests, which change nothing in it."""
    return "test_search"


@pytest.fixture
async def filled(vectors: PostgresVectors, cloud: list[Row]) -> PostgresVectors:
    if await vectors.made_with("docs") is None:
        await vectors.put("docs", cloud, model="m")
        await vectors.rebuild("docs")
    return vectors


def nearest(rows: list[Row], vector: Any, limit: int) -> list[str]:
    """The ids of the nearest, by looking at all."""
    return [r.item.id for r in sorted(rows, key=lambda r: -float(vector_of(r) @ vector))[:limit]]


def vector_of(given: Row) -> Any:
    assert given.vector is not None
    return given.vector


def asked(count: int = 50) -> Iterator[Any]:
    random = np.random.default_rng(4)
    for _ in range(count):
        made = random.normal(size=SIZE).astype(np.float32)
        yield made / np.linalg.norm(made)


async def test_the_index_finds_what_looking_at_all_finds(
    filled: PostgresVectors, cloud: list[Row], sql: Any
) -> None:
    found = 0
    for vector in asked():
        hits = await filled.near("docs", vector, Where(EVERYBODY), 10)
        assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)
        found += len({hit.id for hit in hits} & set(nearest(cloud, vector, 10)))
    assert found >= 0.95 * 50 * 10
    await filled.shared.stop()  # with its connections goes what they have not yet told
    assert await sql.fetchval(INDEX, "test_search", "vectors_1_near") >= 50, "it was not used"


async def test_a_filter_that_one_in_five_hundred_passes_finds_as_many_as_there_are(
    filled: PostgresVectors, cloud: list[Row]
) -> None:
    rare = [r for r in cloud if r.item.metadata["rare"]]
    where = Where(EVERYBODY, parse_filters({"rare": True}))
    for vector in asked(10):
        hits = await filled.near("docs", vector, where, len(rare))
        assert [hit.id for hit in hits] == nearest(rare, vector, len(rare))
    assert (
        await filled.near(
            "docs", vector_of(cloud[0]), Where(EVERYBODY, parse_filters({"page": 11})), 10
        )
        == []
    )


async def test_as_many_as_are_asked_for_are_found(
    filled: PostgresVectors, cloud: list[Row]
) -> None:
    """Also more than a search of the index looks at by itself."""
    hits = await filled.near("docs", vector_of(cloud[0]), Where(ADA), 1000)
    assert len({hit.id for hit in hits}) == 1000
    hits = await filled.near("docs", vector_of(cloud[0]), Where(BOB), 1000)
    assert {hit.id for hit in hits} == {r.item.id for r in cloud if r.item.owner == BOB.owner}


@pytest.mark.parametrize(
    "filters",
    [
        None,
        {"$or": [{"page": 7}, {"$not": {"page": 7}}]},
        {"page') OR true --": None},
        {"page": {"$in": [1, "1) OR (true"]}},
        {"source": {"$ne": "\0"}},
        {"a.owner": None},
    ],
)
async def test_nothing_in_a_filter_reaches_what_is_anothers(
    filled: PostgresVectors, cloud: list[Row], filters: dict[str, Any] | None
) -> None:
    mine = next(r for r in cloud if r.item.owner == BOB.owner)
    theirs = next(r for r in cloud if r.item.owner != BOB.owner)
    for scope in (BOB, Scope.user('ada"]'), Scope.user('eve\', \'["user", "ada"]')):
        where = Where(scope, parse_filters(filters))
        found = [
            *[h.item for h in await filled.near("docs", vector_of(theirs), where, 100)],
            *[h.item for h in await filled.matching("docs", theirs.item.text, where, 100)],
            *await filled.page("docs", where, limit=100),
            *await filled.get("docs", [theirs.item.id, mine.item.id], where.scope),
        ]
        assert {item.owner for item in found} <= {where.scope.owner}
        assert await filled.delete("docs", where, ids=[theirs.item.id]) == 0
    assert await filled.get("docs", [theirs.item.id], ADA) == [theirs.item]


async def test_words_are_whole_and_rare_ones_say_more(opened_vectors: OpenVectors) -> None:
    vectors = await opened_vectors(schema="test_words")
    rows = [row(f"the joint of the plank number{n}", item_id=f"{n}") for n in range(30)]
    rows += [row("the tenon", item_id="t"), row("see docs/plugins.md#how or a@b.org", item_id="p")]
    await vectors.put("words", rows, model="")
    for text, expected in {
        "the tenon": "the tenon",
        "number7 joint": "the joint of the plank number7",
        "PLUGINS": rows[-1].item.text,
        "b.org": rows[-1].item.text,
    }.items():
        assert texts_of(await vectors.matching("words", text, Where(ADA), 1)) == [expected]
    assert await vectors.matching("words", "number join ten", Where(ADA), 5) == []
    await vectors.drop("words")


async def test_a_text_of_very_many_or_very_long_words_is_kept_and_found(
    opened_vectors: OpenVectors,
) -> None:
    vectors = await opened_vectors(schema="test_words")
    long = "ß" * 5_000
    rows = [
        row(" ".join(f"word{n}" for n in range(90_000)), item_id="many"),
        row("again " * 150_000, item_id="again"),
        row(f"{long} {'字' * 900_000}", item_id="long"),
    ]
    await vectors.put("words", rows, model="")
    for text, expected in {"word7": "many", "again": "again", long: "long"}.items():
        (hit,) = await vectors.matching("words", text, Where(ADA), 5)
        assert hit.id == expected
    await vectors.drop("words")


@pytest.fixture
async def sizes(server: Server, opened_vectors: OpenVectors) -> AsyncIterator[PostgresVectors]:
    vectors = await opened_vectors(schema="test_sizes")
    yield vectors
    await vectors.drop("sized")


@pytest.mark.parametrize(
    ("size", "index"),
    [
        (1, "hnsw, vector(1)"),
        (2000, "hnsw, vector(2000)"),
        (2001, "hnsw, halfvec(2001)"),
        (4000, "hnsw, halfvec(4000)"),
        (4001, "none: every search is exact"),
        (16000, "none: every search is exact"),
    ],
)
async def test_vectors_of_any_size_are_found(sizes: PostgresVectors, size: int, index: str) -> None:
    random = np.random.default_rng(5)
    rows = [row(f"{n}", random.normal(size=size).tolist(), item_id=f"{n}") for n in range(20)]
    rows.append(row("nothing", [0.0] * size, item_id="nothing"))
    await sizes.put("sized", rows, model="m")
    for again in range(2):
        hits = await sizes.near("sized", vector_of(rows[3]), Where(ADA), 50)
        assert size == 1 or hits[0].id == "3"
        assert hits[0].score == pytest.approx(1)
        assert {hit.id: hit.score for hit in hits}["nothing"] == 0
        assert len(hits) == 21
        if not again:
            assert await sizes.rebuild("sized") == 21
    stats = await sizes.stats("sized")
    assert stats is not None
    assert stats.details["index"] == index


async def test_vectors_that_are_too_large_are_refused(sizes: PostgresVectors) -> None:
    with pytest.raises(ItemRefused, match="16001 numbers are too large for pgvector"):
        await sizes.put("sized", [row("a", [1.0] * 16_001)], model="m")
    with pytest.raises(ItemRefused, match="give it a shorter id"):
        await sizes.put("sized", [row("a", item_id="字" * 1000)], model="m")
    assert await sizes.collections() == []


def test_settings_that_no_index_takes_are_refused() -> None:
    with pytest.raises(ValidationError, match="`ef_construction` should be at least twice `m`"):
        PgvectorSettings(m=50)


async def test_how_the_index_is_built_can_be_changed(opened_vectors: OpenVectors, sql: Any) -> None:
    vectors = await opened_vectors(schema="test_built")
    await vectors.put("docs", [row("a", [1, 0])], model="m")
    vectors.settings = vectors.settings.model_copy(update={"m": 24, "ef_construction": 90})
    assert await vectors.rebuild("docs") == 1
    options = "SELECT reloptions FROM pg_class WHERE oid = 'test_built.vectors_1_near'::regclass"
    assert await sql.fetchval(options) == ["m=24", "ef_construction=90"]
    await sql.execute("DROP INDEX test_built.vectors_1_near")
    assert await vectors.rebuild("docs") == 1
    assert await sql.fetchval(options) == ["m=24", "ef_construction=90"]
