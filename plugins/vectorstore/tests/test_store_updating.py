"""Documents that events bring, which may be long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dovetail_vectorstore import Scope, VectorStoreProvider
from plugins.vectorstore.tests.storing import ADA, Embeddings

if TYPE_CHECKING:
    from dovetail_vectorstore import Stored

LONG = "# Oak\n\n" + "\n\n".join(f"Paragraph {n} tells of oak number {n}." for n in range(100))


class Notes:
    """A provider in memory, and what it keeps for Ada."""

    def __init__(self) -> None:
        self.model = Embeddings()
        self.provider = VectorStoreProvider("test://", provider=self.model)

    async def update(self, *documents: Any, scope: str = "ada") -> Any:
        data = {"documents": list(documents), "user_id": scope}
        return await self.provider.update_embeddings(data)

    async def delete(self, **what: Any) -> int:
        return await self.provider.delete_embeddings({"user_id": "ada", **what})

    async def kept(self, scope: Scope = ADA) -> list[Stored]:
        """In the order of their places."""
        store = await self.provider._store()  # noqa: SLF001 - it has no other door
        items = await store.page(scope=scope, limit=10_000)
        return sorted(items, key=lambda item: (item.source, item.metadata.get("chunk", 0)))


@pytest.fixture
def notes() -> Notes:
    return Notes()


async def test_a_long_document_is_kept_in_passages(notes: Notes) -> None:
    document = {"text": LONG, "source": "oak.md", "metadata": {"lang": "en"}}
    added = await notes.update(document, "short")
    short, *passages = await notes.kept()
    assert len(added.ids) == 2
    assert added.ids[0] == passages[0].id == passages[-1].metadata["chunk_of"]
    assert added.added == 1 + len(passages) > 3
    assert max(map(len, notes.model.texts)) < 2000
    assert all(passage.metadata["headings"] == ["Oak"] for passage in passages)
    assert passages[-1].metadata["lang"] == "en"
    assert passages[-1].text.endswith("oak number 99.")
    assert (short.text, dict(short.metadata)) == ("short", {})


async def test_a_long_document_told_twice_is_kept_once(notes: Notes) -> None:
    first = await notes.update({"text": LONG, "source": "oak.md"})
    texts = len(notes.model.texts)
    again = await notes.update({"text": LONG, "source": "oak.md"})
    assert (again.ids, again.unchanged, again.added) == (first.ids, first.added, 0)
    assert len(notes.model.texts) == texts


@pytest.mark.parametrize("text", [LONG[:3000], "short"])
async def test_a_document_that_got_shorter_leaves_nothing_behind(notes: Notes, text: str) -> None:
    for name in ("oak", "other"):
        await notes.update({"text": f"{LONG} {name}", "id": name, "source": name})
    before = [item for item in await notes.kept() if item.source == "other"]
    await notes.update({"text": text, "id": "oak", "source": "oak"})
    kept = await notes.kept()
    assert "oak number 99" not in " ".join(i.text for i in kept if i.source == "oak")
    assert [item for item in kept if item.source == "other"] == before


async def test_of_two_with_one_id_the_later_stays_whole(notes: Notes) -> None:
    await notes.update({"text": "short", "id": "oak"}, {"text": LONG, "id": "oak"})
    many = len(await notes.kept())
    assert many > 3
    await notes.update({"text": LONG, "id": "oak"}, {"text": "short", "id": "oak"})
    assert [item.text for item in await notes.kept()] == ["short"]


async def test_a_long_document_is_there_as_a_whole_or_not_at_all(notes: Notes) -> None:
    added = await notes.update({"text": f"{LONG}\n\nrefused", "id": "oak"}, "short")
    assert [(refused.index, added.ids[0]) for refused in added.refused] == [(0, None)]
    assert added.refused[0].reason.startswith("part ")
    assert [item.text for item in await notes.kept()] == ["short"]


async def test_a_document_that_is_too_long_is_refused_alone(notes: Notes) -> None:
    added = await notes.update({"text": "oak " * 300_000, "id": "oak"}, "short")
    assert "1000000 at most" in added.refused[0].reason
    assert [item.text for item in await notes.kept()] == ["short"]


async def test_all_passages_are_removed_by_the_documents_id_or_source(notes: Notes) -> None:
    for scope in ("ada", "bob"):
        for name in ("oak", "pine"):
            await notes.update({"text": LONG, "id": name, "source": f"{name}.md"}, scope=scope)
    many = len(await notes.kept()) // 2
    assert await notes.delete(ids=["oak"], sources=["pine.md"]) == 0
    assert await notes.delete(ids=["oak", "none"]) == many
    assert await notes.delete(sources=[f"{n}.md" for n in range(500)]) == 0
    assert await notes.delete(sources=["pine.md", *(f"{n}.md" for n in range(500))]) == many
    assert await notes.kept() == []
    assert len(await notes.kept(Scope.user("bob"))) == 2 * many
