"""What every `VectorBackend` promises, as tests: subclass it and give the fixture `backend`."""
# ruff: noqa: S101 - these are tests for others to collect

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dovetail_vectorstore.backend import MadeWith, VectorBackend, Where
from dovetail_vectorstore.errors import WrongModel
from dovetail_vectorstore.filters import parse_filters, passes
from dovetail_vectorstore.items import Item, Row
from dovetail_vectorstore.preparing import stored, unit
from dovetail_vectorstore.scope import SHARED, Scope, owner_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail_vectorstore.items import Hit, Stored, Vector

ADA, BOB, EVERYBODY = Scope.user("ada"), Scope.user("bob"), Scope.everyone()

SAMPLES: tuple[Mapping[str, Any], ...] = (
    {},
    {"lang": "en", "page": 1, "draft": True},
    {"lang": "de", "page": 2, "draft": False},
    {"lang": "en", "page": 2.5, "draft": None},
    {"lang": ["en", "fr"], "page": [7, 8]},
    {"lang": "EN", "page": "2"},
    {"author": {"name": "Ada", "born": 1815}},
    {"author": "Ada", "author.name": "Bob"},
    {"author": [{"name": "Ada"}], "page": True},
    {"lang": [], "page": -1},
    {"lang": {"main": "en"}, "big": 2**62, "page": 1e300},
    {"lang": "", "page": 0, "quote'\"; --": "x"},
    {"lang": "é", "page": 0.1},
)
"""Metadata as it may come."""
FILTERS: tuple[Mapping[str, Any], ...] = (
    {"lang": "en"},
    {"lang": {"$ne": "en"}},
    {"lang": {"$in": ["de", "fr", ""]}},
    {"lang": {"$nin": ["de", "fr"]}},
    {"lang": {"$in": []}},
    {"lang": None},
    {"lang": {"$exists": True}},
    {"draft": {"$exists": False}},
    {"draft": True},
    {"draft": 1},
    {"draft": {"$in": [False, None]}},
    {"page": 1},
    {"page": 1.0},
    {"page": "2"},
    {"page": {"$gt": 1}},
    {"page": {"$gte": 1, "$lt": 8}},
    {"page": {"$lte": "2"}},
    {"lang": {"$gte": "e"}},
    {"author.name": "Ada"},
    {"author": "Ada"},
    {"author": {"$exists": True}},
    {"author.born": {"$lt": 1900}},
    {"big": 2**62},
    {"quote'\"; --": "x"},
    {"$or": [{"lang": "de"}, {"page": {"$lt": 0}}]},
    {"$not": {"lang": "en", "page": 1}},
    {"$and": [{"lang": "en"}, {"$not": {"$or": [{"page": 1}, {"draft": None}]}}]},
    {"source": "file-1"},
    {"source": {"$in": ["file-1", 2]}},
    {"source": {"$gt": "file-1"}},
    {"source": None},
    {"source": 2},
    {"nobody_has_this": "x"},
    {"lang": "en", "page": {"$gte": 0}},
)


def row(
    text: str,
    vector: Sequence[float] | Vector | None = None,
    *,
    scope: Scope = ADA,
    item_id: str = "",
    source: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Row:
    """A row, as a store would give it to its backend."""
    item = stored(Item(text, source, metadata or {}, item_id), owner_of(scope))
    return Row(item, None if vector is None else unit(vector))


def texts_of(found: Sequence[Hit]) -> list[str]:
    """What was found."""
    return [hit.text for hit in found]


def axis(place: int, size: int = 4) -> list[float]:
    """A vector along one axis."""
    return [float(place == other) for other in range(size)]


class VectorBackendContract:
    """Give a fixture `backend`: one that is open and empty, and closed by the fixture."""

    pytestmark = pytest.mark.anyio
    many = 300
    """How many items the larger tests put in."""

    @pytest.fixture
    async def backend(self) -> VectorBackend:
        """What is tested; override it."""
        pytest.fail("give a fixture `backend`")

    async def test_what_was_put_is_got(self, backend: VectorBackend) -> None:
        """Every field comes back as it was."""
        odd = 'ä \U0001f600 "quoted" \u2028 \\ %s ; DROP TABLE'
        given = row(
            odd, axis(0), item_id="é/1'", source="a\nb", metadata={odd: [1, 2.5, None, True, odd]}
        )
        await backend.put("docs", [given], model="m")
        (found,) = await backend.get("docs", ["é/1'", "none"], ADA)
        assert found == given.item

    async def test_a_collection_that_is_not_there_is_an_empty_one(
        self, backend: VectorBackend
    ) -> None:
        """No call fails for it, and none makes it."""
        everything, vector = Where(EVERYBODY), unit(axis(0))
        assert await backend.made_with("docs") is None
        assert await backend.get("docs", ["1"], EVERYBODY) == []
        assert await backend.page("docs", everything) == []
        assert await backend.sources("docs", everything) == []
        assert await backend.delete("docs", everything) == 0
        assert await backend.near("docs", vector, everything, 5) == []
        assert await backend.matching("docs", "a", everything, 5) == []
        await backend.clear_vectors("docs", "m")
        assert await backend.rebuild("docs") == 0
        assert await backend.stats("docs") is None
        assert await backend.drop("docs") is False
        assert await backend.collections() == []

    async def test_the_nearest_come_first(self, backend: VectorBackend) -> None:
        """The score is the cosine."""
        rows = [row("a", [1, 0]), row("b", [1, 1]), row("c", [0, 1]), row("d", [-1, 0])]
        await backend.put("docs", rows, model="m")
        found = await backend.near("docs", unit([2, 0]), Where(ADA), 3)
        assert texts_of(found) == ["a", "b", "c"]
        assert [hit.score for hit in found] == pytest.approx([1, math.sqrt(0.5), 0], abs=1e-3)

    async def test_words_are_found_whatever_their_case(self, backend: VectorBackend) -> None:
        """One word is enough, more are better, and no sign is an operator."""
        rows = [row("A dovetail joint."), row("a JOINT of wood"), row("glue"), row("Größe")]
        await backend.put("docs", rows, model="")
        found = await backend.matching("docs", "dovetail JOINT", Where(ADA), 5)
        assert texts_of(found) == ["A dovetail joint.", "a JOINT of wood"]
        assert all(hit.score > 0 for hit in found)
        assert found[0].score > found[1].score
        assert texts_of(await backend.matching("docs", "größe", Where(ADA), 5)) == ["Größe"]
        assert texts_of(await backend.matching("docs", "glue", Where(ADA), 1)) == ["glue"]
        for odd in ("", '"', "glue AND NOT (", "* ^ -", "wood'); --", "text:", "NEAR(", "\ufffd"):
            await backend.matching("docs", odd, Where(ADA), 5)
        assert await backend.matching("docs", "***", Where(ADA), 5) == []

    async def test_the_same_owner_and_id_are_one_item(self, backend: VectorBackend) -> None:
        """The later takes the place of the earlier, for every way to find it."""
        await backend.put("docs", [row("old words", axis(0), item_id="1", source="x")], model="m")
        new = row("new words", axis(1), item_id="1", source="y", metadata={"a": 1})
        await backend.put("docs", [row("in between", axis(2), item_id="1"), new], model="m")
        assert await backend.get("docs", ["1"], ADA) == [new.item]
        (hit,) = await backend.near("docs", unit(axis(1)), Where(ADA), 5)
        assert hit.item == new.item
        assert hit.score == pytest.approx(1, abs=1e-3)
        assert await backend.matching("docs", "old between", Where(ADA), 5) == []
        assert [s.source for s in await backend.sources("docs", Where(ADA))] == ["y"]
        assert (await backend.collections())[0].items == 1

    async def test_without_a_vector_the_one_of_the_same_text_stays(
        self, backend: VectorBackend
    ) -> None:
        """Metadata changes for nothing; another text waits to be embedded."""
        await backend.put("docs", [row("text", axis(0), item_id="1")], model="m")
        changed = row("text", item_id="1", source="s", metadata={"a": 2})
        await backend.put("docs", [changed], model="")
        where = Where(ADA, parse_filters({"a": 2}))
        (hit,) = await backend.near("docs", unit(axis(0)), where, 5)
        assert hit.item == changed.item
        assert hit.score == pytest.approx(1, abs=1e-3)
        await backend.put("docs", [row("other", item_id="1")], model="")
        assert await backend.near("docs", unit(axis(0)), Where(ADA), 5) == []
        assert texts_of(await backend.matching("docs", "other", Where(ADA), 5)) == ["other"]
        (described,) = await backend.collections()
        assert (described.items, described.pending) == (1, 1)

    async def test_nobody_sees_what_is_anothers(self, backend: VectorBackend) -> None:
        """In no way, and with no filter; one id may be several owners'."""
        scopes = {
            "ada": ADA,
            "bob": BOB,
            "shared": Scope.shared(),
            "nobody": Scope.user(None),
            "session": Scope.user("ada", session="s"),
            "text of nobody": Scope.user("null"),
        }
        for name, scope in scopes.items():
            given = row(f"words of {name}", axis(0), scope=scope, item_id="1", source="s")
            await backend.put("docs", [given], model="m")
        wide = parse_filters({"$or": [{"source": "s"}, {"$not": {"a": 1}}]})
        sees = {
            **{name: {name} for name in scopes},
            "session": {"ada", "session"},
        }
        for name, scope in {**scopes, "all": EVERYBODY, "mixed": BOB.with_shared()}.items():
            expected = sees.get(name, {"bob", "shared"} if name == "mixed" else set(scopes))
            for filters in (None, wide):
                where = Where(scope, filters)
                found = [
                    [hit.item for hit in await backend.near("docs", unit(axis(0)), where, 50)],
                    [hit.item for hit in await backend.matching("docs", "words", where, 50)],
                    await backend.page("docs", where, limit=50),
                    await backend.get("docs", ["1"], scope),
                ]
                for items in found:
                    seen = {item.text.removeprefix("words of ") for item in items}
                    assert seen == expected, f"{name} sees {seen}"
                counted = await backend.sources("docs", where)
                assert [source.items for source in counted] == [len(expected)]

    async def test_what_is_deleted_is_the_scopes_own(self, backend: VectorBackend) -> None:
        """Not what it sees beside; and nothing finds it any more."""
        await backend.put("docs", [row("mine", axis(0), item_id="1")], model="m")
        await backend.put(
            "docs", [row("all's", axis(0), item_id="1", scope=Scope.shared())], model="m"
        )
        mixed = Where(ADA.with_shared())
        assert await backend.delete("docs", Where(BOB), ids=["1"]) == 0
        assert await backend.delete("docs", mixed, ids=["2"]) == 0
        assert await backend.delete("docs", mixed) == 1
        assert texts_of(await backend.near("docs", unit(axis(0)), mixed, 5)) == ["all's"]
        assert await backend.matching("docs", "mine", mixed, 5) == []
        assert [item.owner for item in await backend.page("docs", mixed)] == [SHARED]
        assert await backend.delete("docs", Where(EVERYBODY), ids=["1"]) == 1
        assert (await backend.collections())[0].items == 0

    @pytest.mark.parametrize("place", range(len(FILTERS)))
    async def test_filters_mean_what_they_mean(self, backend: VectorBackend, place: int) -> None:
        """The same in every call as `passes` says, and for what is deleted."""
        rows = [
            row(f"words {n}", [1, n / 100], item_id=f"{n}", source=f"file-{n % 3}", metadata=known)
            for n, known in enumerate(SAMPLES)
        ]
        await backend.put("docs", rows, model="m")
        condition = parse_filters(FILTERS[place])
        expected = {r.item.id for r in rows if passes(r.item, condition)}
        where = Where(ADA, condition)
        near = await backend.near("docs", unit([1, 0]), where, 50)
        assert {hit.id for hit in near} == expected
        assert [hit.id for hit in near] == sorted(expected, key=int)
        assert {h.id for h in await backend.matching("docs", "words", where, 50)} == expected
        assert {i.id for i in await backend.page("docs", where, limit=50)} == expected
        assert await backend.delete("docs", where) == len(expected)
        left = {item.id for item in await backend.page("docs", Where(ADA), limit=50)}
        assert left == {r.item.id for r in rows} - expected

    async def test_a_filter_that_few_pass_finds_them_all_the_same(
        self, backend: VectorBackend
    ) -> None:
        """Also where they are far from what was asked for."""
        rows = self._cloud()
        await backend.put("docs", rows, model="m")
        where = Where(ADA, parse_filters({"rare": True}))
        vector = rows[0].vector
        assert vector is not None
        expected = [r for r in rows if r.item.metadata["rare"]]
        expected.sort(key=lambda r: -float(_vector(r) @ vector))
        found = await backend.near("docs", vector, where, 3)
        assert [hit.id for hit in found] == [r.item.id for r in expected[:3]]

    async def test_another_dimension_or_model_is_refused(self, backend: VectorBackend) -> None:
        """The words say how to index again, and nothing of what was given is kept."""
        await backend.put("docs", [row("a", axis(0))], model="")
        assert await backend.made_with("docs") == MadeWith("", 4)
        await backend.put("docs", [row("b", axis(0))], model="m")
        assert await backend.made_with("docs") == MadeWith("m", 4)
        for vector, model in ((axis(0, 5), "m"), (axis(0), "other")):
            with pytest.raises(WrongModel, match="dovetail knowledge reindex docs"):
                await backend.put("docs", [row("c", axis(1)), row("d", vector)], model=model)
        with pytest.raises(WrongModel):
            await backend.put("new", [row("c", axis(1)), row("d", axis(1, 5))], model="m")
        with pytest.raises(WrongModel):
            await backend.near("docs", unit(axis(0, 5)), Where(ADA), 5)
        assert [found.items for found in await backend.collections()] == [2]

    async def test_vectors_are_forgotten_and_made_anew(self, backend: VectorBackend) -> None:
        """As a reindex does it: the texts stay, and are pending until each has a vector again."""
        await backend.put("docs", [row("a", axis(0)), row("b", axis(1))], model="m")
        await backend.clear_vectors("docs", "other")
        assert await backend.made_with("docs") == MadeWith("other", None)
        assert await backend.near("docs", unit(axis(0)), Where(ADA), 5) == []
        assert texts_of(await backend.matching("docs", "a", Where(ADA), 5)) == ["a"]
        pending = await backend.page("docs", Where(EVERYBODY), pending=True)
        assert sorted(item.text for item in pending) == ["a", "b"]
        await backend.put("docs", [Row(pending[0], unit(axis(0, 2)))], model="other")
        assert await backend.page("docs", Where(EVERYBODY), pending=True) == pending[1:]
        found = await backend.near("docs", unit(axis(0, 2)), Where(ADA), 5)
        assert [hit.item for hit in found] == pending[:1]
        assert await backend.made_with("docs") == MadeWith("other", 2)

    async def test_vectors_are_given_to_what_is_still_there(self, backend: VectorBackend) -> None:
        """What was deleted or changed since it was read is left as it is."""
        read = [row(name, item_id=name) for name in ("kept", "gone", "changed", "told")]
        await backend.put("docs", read, model="")
        await backend.delete("docs", Where(ADA), ids=["gone"])
        other = [row("other", item_id="changed"), row("told", item_id="told", metadata={"p": 1})]
        await backend.put("docs", other, model="")
        made = [Row(one.item, unit(axis(0))) for one in read]
        assert await backend.give_vectors("docs", made, model="m") == 2
        assert await backend.give_vectors("none", made, model="m") == 0
        assert await backend.made_with("none") is None
        near = await backend.near("docs", unit(axis(0)), Where(ADA), 9)
        assert sorted(texts_of(near)) == ["kept", "told"]
        (told,) = await backend.get("docs", ["told"], ADA)
        assert told.metadata == {"p": 1}
        pending = await backend.page("docs", Where(ADA), pending=True)
        assert [item.text for item in pending] == ["other"]

    async def test_pages_give_every_item_once(self, backend: VectorBackend) -> None:
        """In an order that stays the same while others are put and deleted."""
        rows = [row(f"t{n}", scope=(ADA, BOB)[n % 2], item_id=f"{n}") for n in range(25)]
        await backend.put("docs", rows, model="")
        seen: list[Stored] = []
        while page := await backend.page(
            "docs", Where(EVERYBODY), after=seen[-1].key if seen else None, limit=7
        ):
            assert len(page) <= 7
            seen += page
            await backend.delete("docs", Where(EVERYBODY), ids=[page[0].id])
        assert sorted(item.id for item in seen) == sorted(r.item.id for r in rows)

    async def test_an_index_is_made_again(self, backend: VectorBackend) -> None:
        """Nothing is lost by it, and nothing found that was not."""
        rows = self._cloud()
        await backend.put("docs", rows, model="m")
        await backend.delete("docs", Where(ADA), ids=[rows[0].item.id])
        assert await backend.rebuild("docs") == len(rows) - 1
        found = await backend.near("docs", _vector(rows[1]), Where(ADA), 1)
        assert [hit.id for hit in found] == [rows[1].item.id]
        assert await backend.matching("docs", rows[0].item.text, Where(ADA), 5)

    async def test_a_dropped_collection_is_gone_and_may_come_again(
        self, backend: VectorBackend
    ) -> None:
        """With other vectors, and nothing of before."""
        await backend.put("docs", [row("a", axis(0))], model="m")
        await backend.put("other", [row("b", axis(0))], model="m")
        assert await backend.drop("docs") is True
        assert [found.name for found in await backend.collections()] == ["other"]
        await backend.put("docs", [row("c", axis(0, 2), metadata={"a": 1})], model="n")
        assert texts_of(await backend.near("docs", unit(axis(0, 2)), Where(ADA), 5)) == ["c"]
        assert texts_of(await backend.matching("docs", "a b c", Where(ADA), 5)) == ["c"]

    async def test_statistics_say_what_is_there(self, backend: VectorBackend) -> None:
        """Items, sources, owners, and what waits for a vector."""
        rows = [row("a", axis(0), source="x"), row("b", source="x"), row("c", scope=BOB)]
        await backend.put("docs", rows, model="m")
        stats = await backend.stats("docs")
        assert stats is not None
        assert (stats.sources, stats.owners, stats.disk_bytes >= 0) == (2, 2, True)
        told = stats.collection
        assert (told.name, told.model, told.dimension, told.items, told.pending) == (
            *("docs", "m", 4),
            *(3, 2),
        )

    async def test_many_tasks_use_it_at_once(self, backend: VectorBackend) -> None:
        """What a task was told is kept, it finds; and no two are in each other's way."""

        async def work(n: int) -> None:
            scope = Scope.user(f"user {n % 5}")
            for turn in range(5):
                given = row(f"text {n} {turn}", [1, n, turn], scope=scope, item_id=f"{n} {turn}")
                await backend.put("docs", [given], model="m")
                where = Where(scope, parse_filters({"source": given.item.source}))
                found = await backend.near("docs", _vector(given), where, 200)
                assert given.item in [hit.item for hit in found]
                if turn % 2:
                    assert await backend.delete("docs", Where(scope), ids=[given.item.id]) == 1
                    assert await backend.get("docs", [given.item.id], scope) == []

        await asyncio.gather(*(work(n) for n in range(20)))
        assert (await backend.collections())[0].items == 20 * 3

    def _cloud(self) -> list[Row]:
        """Items all round, of which every fiftieth is rare."""
        random = np.random.default_rng(7)
        return [
            row(
                f"cloud {n}",
                random.normal(size=8).tolist(),
                item_id=f"{n}",
                metadata={"rare": n % 50 == 1},
            )
            for n in range(self.many)
        ]


def _vector(given: Row) -> Vector:
    assert given.vector is not None
    return given.vector
