"""The event provider: what it keeps of turns, and of documents it is told of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from structlog.testing import capture_logs

from dovetail import Kernel
from dovetail.testing import EventProviderContract, Subject, fake_plugin
from dovetail_vectorstore import Scope, VectorStore, VectorStoreProvider
from dovetail_vectorstore.errors import ScopeError, VectorStoreError
from plugins.vectorstore.tests.storing import ADA, BOB, Embeddings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EVERYBODY, SHARED = Scope.everyone(), Scope.shared()


class TestVectorStoreProvider(EventProviderContract):
    may_import = ("numpy", "pypdf")
    samples: ClassVar[Mapping[str, Any]] = {
        "knowledge_update": {"documents": [{"text": "a", "source": "b"}], "shared": True},
        "knowledge_delete": {"sources": ["b"], "user_id": "ada"},
    }

    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(
            "vectorstore",
            settings={"remember": "user"},
            config={
                "chat": {"model": "fake", "embedding_model": "fake"},
                "plugins": {"vectorstore": {"backend": "memory"}},
            },
        )


def _kernel(model: Embeddings, table: Mapping[str, object], **store: object) -> Kernel:
    config = {
        "chat": {"model": "fake", "embedding_model": "fake"},
        "providers": {"notes": {"use": "vectorstore", **table}, "fake": {}},
        "plugins": {"vectorstore": {"backend": "memory", **store}},
    }
    return Kernel.open(config, env={}).register("fake", fake_plugin(model))


async def _drained(kernel: Kernel) -> VectorStore:
    """The store, once all events so far are handled."""
    for registered in kernel.generation.events.registry.registrations():
        if registered.mailbox is not None:
            assert await registered.mailbox.drain(30) == 0
    store: VectorStore = kernel.services.get("vector_store")
    return store


async def test_alone_it_keeps_what_it_is_told() -> None:
    provider = VectorStoreProvider("test://connection")
    await provider.handle_event("agent_complete", {"output": "test data"})
    assert await provider.get_stored_data() == "test data"


async def test_alone_it_keeps_documents_in_a_folder(tmp_path: Path) -> None:
    documents = {"documents": ["about mortises", "about glue"], "user_id": "ada"}
    provider = VectorStoreProvider(str(tmp_path / "store"))
    assert await provider.get_stored_data() is None
    assert (await provider.update_embeddings(documents)).added == 2
    await provider.stop()
    provider = VectorStoreProvider(str(tmp_path / "store"), provider=Embeddings())
    await provider.start()
    assert (await provider.update_embeddings(documents)).unchanged == 2
    await provider.stop()
    await provider.stop()


async def test_nothing_of_a_turn_is_kept_unless_the_config_wants_it() -> None:
    model = Embeddings()
    async with _kernel(model, {}) as kernel:
        await kernel.chat("What is a mortise?", session="s", user="ada")
        store = await _drained(kernel)
        assert await store.collections() == []
    assert model.batches == []


async def test_a_users_turn_is_found_in_the_next_session() -> None:
    model = Embeddings()
    model.will_say("A hole in wood.")
    async with _kernel(model, {"remember": "user"}) as kernel:
        await kernel.chat("What is a mortise?", session="monday", user="ada")
        store = await _drained(kernel)
        (hit,) = await store.search("mortise", scope=Scope.user("ada", session="tuesday"))
        assert hit.text == "What is a mortise?\n\nA hole in wood."
        assert hit.source == "session monday"
        assert hit.metadata["session_id"] == "monday"
        assert await store.search("mortise", scope=BOB.with_shared()) == []


async def test_a_sessions_turn_is_found_in_it_alone() -> None:
    async with _kernel(Embeddings(), {"remember": "session"}) as kernel:
        await kernel.chat("What is a mortise?", session="monday", user="ada")
        store = await _drained(kernel)
        assert await store.search("mortise", scope=Scope.user("ada", session="monday"))
        assert not await store.search("mortise", scope=Scope.user("ada", session="tuesday"))
        assert not await store.search("mortise", scope=ADA)


@pytest.mark.parametrize("remember", ["session", "user"])
async def test_a_deleted_session_is_forgotten(remember: str) -> None:
    async with _kernel(Embeddings(), {"remember": remember}) as kernel:
        for session in ("monday", "tuesday"):
            await kernel.chat(f"Is it {session}?", session=session, user="ada")
        await kernel.sessions.delete_session("monday", user_id="ada")
        store = await _drained(kernel)
        assert [s.source for s in await store.sources(scope=EVERYBODY)] == ["session tuesday"]


async def test_what_was_told_twice_is_kept_once() -> None:
    model = Embeddings()
    async with _kernel(model, {"remember": "user"}) as kernel:
        turn = {"output": "An answer.", "input": "A question?", "user_id": "ada"}
        documents = {"documents": ["one", {"text": "two", "source": "b"}], "shared": True}
        for _ in range(3):
            await kernel.publish("agent_complete", turn)
            await kernel.publish("knowledge_update", documents)
        store = await _drained(kernel)
        assert len(await store.page(scope=EVERYBODY)) == 3
    assert len(model.texts) == 3


@pytest.mark.parametrize(
    "turn",
    [
        {"output": ""},
        {"output": "part", "finish_reason": "cancelled"},
        {"output": "part", "finish_reason": "error"},
        {"output": "part", "error": "ProviderError"},
        {"output": None},
        {},
    ],
)
async def test_answers_that_failed_are_not_remembered(turn: dict[str, Any]) -> None:
    provider = VectorStoreProvider("test://")
    assert await provider.store_output(turn) is None
    assert await provider.get_stored_data() is None


async def test_a_long_answer_is_cut() -> None:
    provider = VectorStoreProvider("test://")
    await provider.store_output({"input": "Why?", "output": "y" * 50_000})
    stored = await provider.get_stored_data()
    assert stored == "y" * (8000 - len("Why?\n\n"))


@pytest.mark.parametrize(("answer", "kept"), [("Because.", "Because."), ("y" * 50_000, "y" * 4000)])
async def test_a_long_question_leaves_room_for_its_answer(answer: str, kept: str) -> None:
    provider = VectorStoreProvider("test://")
    await provider.store_output({"input": "why " * 10_000, "output": answer})
    assert await provider.get_stored_data() == kept


@pytest.mark.parametrize("remembered", ["session", "user"])
async def test_a_session_is_forgotten_whatever_is_remembered_by_now(
    remembered: str, tmp_path: Path
) -> None:
    store: dict[str, Any] = {"backend": "embedded", "path": str(tmp_path / "store")}
    async with _kernel(Embeddings(), {"remember": remembered}, **store) as kernel:
        for session in ("s", None):
            turn = {"output": f"of {session}", "user_id": "ada", "session_id": session}
            await kernel.publish("agent_complete", turn)
    async with _kernel(Embeddings(), {}, **store) as kernel:
        for session in ("s", None):
            deleted = {"session_id": session, "user_id": "ada"}
            await kernel.publish("session_deleted", deleted)
        kept = await _drained(kernel)
        assert [item.text for item in await kept.page(scope=EVERYBODY)] == ["of None"]


async def test_documents_are_removed_by_id_and_by_source() -> None:
    async with _kernel(Embeddings(), {}) as kernel:
        documents = [{"text": f"text {n}", "source": f"{n % 2}", "id": f"{n}"} for n in range(6)]
        for owner in ({"shared": True}, {"user_id": "ada"}):
            await kernel.publish("knowledge_update", {"documents": documents, **owner})
        await kernel.publish("knowledge_delete", {"sources": "1", "user_id": "ada"})
        await kernel.publish("knowledge_delete", {"ids": ["0", "1"], "user_id": "ada"})
        await kernel.publish("knowledge_delete", {"ids": ["0"], "sources": ["1"], "shared": True})
        store = await _drained(kernel)
        assert [item.id for item in await store.page(scope=ADA)] == ["2", "4"]
        assert len(await store.page(scope=SHARED)) == 6


async def test_a_bad_document_is_named_and_the_rest_is_kept() -> None:
    bad: list[Any] = [7, {"text": None}, {"txt": "a"}, "refused", {"text": "x", "metadata": 3}]
    async with _kernel(Embeddings(), {}) as kernel:
        with capture_logs() as logs:
            data = {"documents": [*bad, "good"], "shared": True, "collection": "notes"}
            await kernel.publish("knowledge_update", data)
            store = await _drained(kernel)
        assert [i.text for i in await store.page(scope=SHARED, collection="notes")] == ["good"]
    assert [entry["event"] for entry in logs].count("a document was not kept") == len(bad)


@pytest.mark.parametrize(
    ("event", "data", "error"),
    [
        ("knowledge_update", {"documents": ["a"]}, ScopeError),
        ("knowledge_update", {"documents": ["a"], "shared": "yes"}, ScopeError),
        ("knowledge_update", {"document": "a", "shared": True}, VectorStoreError),
        ("knowledge_update", None, VectorStoreError),
        ("knowledge_delete", {"shared": True}, VectorStoreError),
        ("knowledge_delete", {"ids": ["a"]}, ScopeError),
        ("knowledge_delete", "a", VectorStoreError),
        ("knowledge_delete", {"sources": 5, "shared": True}, VectorStoreError),
        ("knowledge_delete", {"ids": b"a", "shared": True}, VectorStoreError),
    ],
)
async def test_what_an_event_must_say_is_asked_for(
    event: str, data: Any, error: type[Exception]
) -> None:
    provider = VectorStoreProvider("test://")
    with pytest.raises(error, match=r"say whose|takes"):
        await provider.handle_event(event, data)


async def test_a_model_that_is_away_harms_no_turn() -> None:
    model = Embeddings()
    model.away_after = 0
    async with _kernel(model, {"remember": "user"}) as kernel:
        with capture_logs() as logs:
            assert (await kernel.chat("Hello", user="ada")).text == "Hello"
            await _drained(kernel)
    assert any("it is away" in str(entry) for entry in logs)


async def test_what_waits_is_kept_before_the_kernel_closes(tmp_path: Path) -> None:
    path = str(tmp_path / "store")
    table = {"remember": "user"}
    async with _kernel(Embeddings(), table, backend="embedded", path=path) as kernel:
        for n in range(20):
            await kernel.chat(f"Question {n}?", user="ada")
    async with _kernel(Embeddings(), table, backend="embedded", path=path) as kernel:
        store: VectorStore = kernel.services.get("vector_store")
        assert len(await store.page(scope=ADA)) == 20
