"""What becomes of files that are taken in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import ProviderUnavailable
from dovetail_vectorstore import Failed, IngestionSettings, Scope
from dovetail_vectorstore.documents import UnreadableDocument
from dovetail_vectorstore.errors import ScopeError
from dovetail_vectorstore.walking import File, read_file
from plugins.vectorstore.tests.ingesting import DOWN, SHARED, Library, library, write
from plugins.vectorstore.tests.pdfs import pdf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from dovetail_vectorstore.ingested import State

ADA = Scope.user("ada")
LONG = "\n\n".join(f"Paragraph {number} is about wood number {number}." for number in range(40))


@pytest.fixture
async def shelf() -> AsyncIterator[Library]:
    async with library() as opened:
        yield opened


async def test_a_folder_is_read_as_far_as_there_are_readers(shelf: Library, tmp_path: Path) -> None:
    written = ("a.md", "b/c.txt", "b/d.py", "e.html", "f.PDF")
    skipped = (".git/x.md", ".hidden.md", "node_modules/y.js", "image.png", "b/__pycache__/z.py")
    write(tmp_path, dict.fromkeys((*written, *skipped), "<p>some words"))
    write(tmp_path, {"f.PDF": pdf(["Words."])})
    result = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    assert result.added == ["a.md", "e.html", "f.PDF", "b/c.txt", "b/d.py"]
    assert await shelf.sources() == sorted(written)
    assert (result.chunks, result.failed) == (5, [])


async def test_a_chunk_says_where_it_stands(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "# Oak\n\n## Uses\n\nShips.\n", "b.pdf": pdf(["One."], ["Two."])})
    await shelf.ingestion.add(["a.md", "b.pdf"], scope=SHARED, base=tmp_path)
    one, two = sorted(await shelf.store.page(scope=SHARED), key=lambda item: item.source)
    assert one.text == "Oak > Uses\n\nShips."
    assert one.metadata["headings"] == ["Oak", "Uses"]
    assert (one.metadata["line"], one.metadata["end_line"]) == (5, 5)
    assert (one.metadata["part"], one.metadata["parts"]) == (0, 1)
    assert (two.metadata["page"], two.metadata["end_page"]) == (1, 2)
    assert "line" not in two.metadata


async def test_a_file_that_is_named_is_read_whatever_its_ending(
    shelf: Library, tmp_path: Path
) -> None:
    write(tmp_path, {"LICENSE": "Do what you want.", ".env.sample": "A=1"})
    result = await shelf.ingestion.add(["LICENSE", ".env.sample"], scope=SHARED, base=tmp_path)
    assert result.added == ["LICENSE", ".env.sample"]


async def test_what_is_excluded_is_left_out(tmp_path: Path) -> None:
    names = ("a.md", "drafts/b.md", "c.min.js", "docs/old/d.md", "docs/e.md")
    write(tmp_path, dict.fromkeys(names, "words"))
    async with library({"exclude": ["drafts", "*.min.js"]}) as shelf:
        result = await shelf.ingestion.add(
            ["."], scope=SHARED, base=tmp_path, exclude=["docs/old/"]
        )
    assert result.added == ["a.md", "docs/e.md"]


async def test_what_is_elsewhere_is_called_by_its_whole_path(
    shelf: Library, tmp_path: Path
) -> None:
    write(tmp_path, {"here/a.md": "words", "there/b.md": "words"})
    base = tmp_path / "here"
    result = await shelf.ingestion.add(
        [base / "a.md", "../there", "./a.md"], scope=SHARED, base=base
    )
    assert result.added == ["a.md", (tmp_path / "there/b.md").as_posix()]


async def test_what_is_unchanged_is_not_embedded_again(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, {"a.md": LONG, "b.md": "words"})
    first = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    shelf.model.texts.clear()
    second = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    assert first.added == second.unchanged == ["a.md", "b.md"]
    assert (second.added, second.changed, second.chunks) == ([], [], 0)
    assert shelf.model.texts == []


async def test_what_changed_is_replaced_and_only_what_is_new_embedded(
    shelf: Library, tmp_path: Path
) -> None:
    sections = [f"# S{number}\n\nSection {number}.\n\n" for number in range(5)]
    write(tmp_path, {"a.md": "".join(sections)})
    await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path)
    shelf.model.texts.clear()
    write(tmp_path, {"a.md": "".join([*sections[:2], "# New\n\nOne more.\n\n", *sections[3:]])})
    result = await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path)
    assert result.changed == ["a.md"]
    assert shelf.model.texts == ["New\n\nOne more."]
    assert await shelf.texts() == [
        "S0\n\nSection 0.",
        "S1\n\nSection 1.",
        "New\n\nOne more.",
        "S3\n\nSection 3.",
        "S4\n\nSection 4.",
    ]


async def test_a_document_that_got_shorter_leaves_nothing_behind(
    shelf: Library, tmp_path: Path
) -> None:
    write(tmp_path, {"a.md": LONG})
    await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path)
    write(tmp_path, {"a.md": "All gone."})
    await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path)
    assert await shelf.texts() == ["All gone."]


async def test_the_same_text_in_two_places_is_kept_for_both(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "# H\n\nsame\n\n# I\n\nsame\n\n# H\n\nsame", "b.md": "same"})
    await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    assert await shelf.texts("a.md") == ["H\n\nsame", "I\n\nsame", "H\n\nsame"]
    await shelf.store.delete(scope=SHARED, filters={"source": "a.md"})
    assert await shelf.texts() == ["same"]


async def test_other_sizes_of_chunks_have_everything_read_again(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": LONG})
    async with library() as shelf:
        await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path)
        before = await shelf.texts()
        smaller = Library(shelf.store, shelf.model, {"chunk_tokens": 64, "overlap_tokens": 0})
        result = await smaller.ingestion.add(["a.md"], scope=SHARED, base=tmp_path)
        assert result.changed == ["a.md"]
        assert len(await shelf.texts()) > len(before)


async def test_what_has_gone_is_removed_only_if_asked(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys(("docs/a.md", "docs/b.md", "other/c.md", "docs2/d.md"), "words"))
    await shelf.ingestion.add(["docs", "other", "docs2"], scope=SHARED, base=tmp_path)
    for name in ("docs/a.md", "other/c.md", "docs2/d.md"):
        (tmp_path / name).unlink()
    kept = await shelf.ingestion.add(["docs"], scope=SHARED, base=tmp_path)
    assert (kept.removed, len(await shelf.sources())) == ([], 4)
    pruned = await shelf.ingestion.add(["docs"], scope=SHARED, base=tmp_path, prune=True)
    assert pruned.removed == ["docs/a.md"]
    assert await shelf.sources() == ["docs/b.md", "docs2/d.md", "other/c.md"]
    rest = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path, prune=True)
    assert rest.removed == ["docs2/d.md", "other/c.md"]


async def test_pruning_leaves_what_is_excluded_or_was_not_a_file(
    shelf: Library, tmp_path: Path
) -> None:
    write(tmp_path, {"a.md": "words", "b.md": "words"})
    await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    await shelf.store.add(["something an application stored"], scope=SHARED)
    result = await shelf.ingestion.add(
        ["."], scope=SHARED, base=tmp_path, exclude=["b.md"], prune=True
    )
    assert result.removed == []
    assert len(await shelf.store.page(scope=SHARED)) == 3


async def test_owners_have_their_own_documents(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "words"})
    await shelf.ingestion.add(["a.md"], scope=ADA, base=tmp_path)
    result = await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path)
    assert result.added == ["a.md"]
    (tmp_path / "a.md").unlink()
    await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path, prune=True)
    assert (await shelf.sources(), await shelf.sources(ADA)) == ([], ["a.md"])


async def test_documents_go_into_the_collection_that_is_named(
    shelf: Library, tmp_path: Path
) -> None:
    write(tmp_path, {"a.md": "words"})
    await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path, collection="manual")
    assert await shelf.sources() == []
    assert [one.name for one in await shelf.store.collections()] == ["manual"]
    again = await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path, collection="manual")
    assert again.unchanged == ["a.md"]


async def test_a_bad_document_fails_alone(shelf: Library, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.md": "Good.",
            "b.txt": b"",
            "c.txt": b"\x7fELF\x00\x01",
            "d.txt": "café".encode("latin-1"),
            "e.pdf": pdf(["Secret."], password="x"),
            "f.pdf": b"%PDF-1.7 and nothing else",
            "g.md": "Good too.",
        },
    )
    with (tmp_path / "h.txt").open("wb") as sparse:
        sparse.truncate(200_000_000)
    (tmp_path / "i.md").symlink_to(tmp_path / "nowhere")
    (tmp_path / "j.md").symlink_to(tmp_path / "j.md")
    os.mkfifo(tmp_path / "k.md")
    result = await shelf.ingestion.add([".", "gone.md"], scope=SHARED, base=tmp_path)
    assert result.added == ["a.md", "g.md"]
    assert await shelf.texts() == ["Good.", "Good too."]
    failed = {one.source: one.reason for one in result.failed}
    assert {source: reason.split(":")[0] for source, reason in failed.items()} == {
        "b.txt": "it is empty",
        "c.txt": "it is not text",
        "d.txt": "it is not UTF-8",
        "e.pdf": "it is a PDF that needs a password",
        "f.pdf": "it is a PDF that is broken",
        "h.txt": "it has 200.0 MB, and `max_file_mb` is 20",
        "i.md": "it cannot be read",
        "j.md": "it cannot be read",
        "k.md": "it is no file, but something like a device or a pipe",
        "gone.md": "it cannot be read",
    }
    assert failed["gone.md"] == "it cannot be read: No such file or directory"


async def test_what_has_become_bad_is_still_there_as_it_was(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "Good."})
    await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path)
    write(tmp_path, {"a.md": b"\x00\x01"})
    result = await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path, prune=True)
    assert [one.source for one in result.failed] == ["a.md"]
    assert await shelf.texts() == ["Good."]


def test_a_file_that_the_system_does_not_let_us_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocument, match="it cannot be read: Is a directory"):
        read_file(File(tmp_path, "a.md", 1), 100)


def test_a_file_that_grew_meanwhile_is_not_read_to_its_end(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "x" * 500})
    with pytest.raises(UnreadableDocument, match="max_file_mb"):
        read_file(File(tmp_path / "a.md", "a.md", 1), 100)


async def test_links_that_lead_in_circles_are_not_followed(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, {"docs/a.md": "words", "docs/deep/b.md": "words"})
    (tmp_path / "docs/deep/up").symlink_to(tmp_path / "docs")
    (tmp_path / "docs/c.md").symlink_to(tmp_path / "docs/a.md")
    (tmp_path / "top").symlink_to(tmp_path / "docs")
    result = await shelf.ingestion.add(["top"], scope=SHARED, base=tmp_path)
    assert result.added == ["top/a.md", "top/c.md", "top/deep/b.md"]


async def test_a_document_that_the_model_refuses_fails_as_a_whole(
    shelf: Library, tmp_path: Path
) -> None:
    poisoned = "# One\n\nFine.\n\n# Two\n\nPoison.\n\n# Three\n\nFine."
    write(tmp_path, {"a.md": "Good.", "b.md": poisoned, "c.md": "Good too."})
    shelf.model.refuses = "Poison"
    result = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    assert result.added == ["a.md", "c.md"]
    assert [one.source for one in result.failed] == ["b.md"]
    assert result.failed[0].reason.startswith("part 2 of 3: ")
    assert await shelf.texts() == ["Good.", "Good too."]
    shelf.model.refuses = ""
    again = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    assert (again.added, again.unchanged) == (["b.md"], ["a.md", "c.md"])


async def test_the_first_part_can_be_the_one_that_is_refused(
    shelf: Library, tmp_path: Path
) -> None:
    write(tmp_path, {"a.md": "# One\n\nPoison.\n\n# Two\n\nFine."})
    shelf.model.refuses = "Poison"
    result = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    assert result.failed[0].reason.startswith("part 1 of 2: ")
    assert await shelf.texts() == []


@pytest.mark.parametrize("calls", range(1, 6))
async def test_after_the_model_broke_down_it_goes_on_from_there(calls: int, tmp_path: Path) -> None:
    sections = "".join(f"# S{number}\n\nSection {number} of {{}}.\n\n" for number in range(5))
    files = {name: sections.replace("{}", name) for name in ("a.md", "b.md")}
    write(tmp_path, files)
    async with library(batch_size=2, concurrency=1) as shelf:
        await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path)
        write(tmp_path, {"a.md": files["a.md"].replace("Section", "Chapter")})
        shelf.model.failures.extend([*[None] * (calls - 1), DOWN, DOWN])
        shelf.model.texts.clear()
        try:
            await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
        except ProviderUnavailable:
            done = list(shelf.model.texts)
        else:
            pytest.fail("the model was never asked so often")
        shelf.model.texts.clear()
        result = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
        assert (result.changed, result.failed) == (["a.md"], [])
        assert not set(done) & set(shelf.model.texts)
        texts = await shelf.texts()
        assert len(texts) == 10
        assert all("Chapter" in text for text in texts[:5])
        again = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
        assert again.unchanged == ["a.md", "b.md"]


async def test_progress_grows_to_the_end(tmp_path: Path) -> None:
    write(tmp_path, {f"{number}.md": LONG for number in range(30)})
    states: list[State] = []
    async with library(batch_size=4) as shelf:
        await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path, progress=states.append)
    done = [state.done for state in states]
    assert done == sorted(done)
    assert done[-1] == states[-1].total == 30 * len(LONG)
    assert len(set(done)) > 5


async def test_the_tokens_can_be_those_of_a_host(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, {"a.md": LONG})
    shelf.ingestion.count = len
    await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path)
    assert max(map(len, await shelf.texts())) <= 256


async def test_the_tokens_are_those_of_the_embedding_model(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, {"a.md": LONG})
    shelf.model.counter = len
    await shelf.ingestion.add(["a.md"], scope=SHARED, base=tmp_path)
    assert max(map(len, await shelf.texts())) <= 256


async def test_nothing_to_take_in_is_nothing(shelf: Library, tmp_path: Path) -> None:
    result = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    assert (result.added, result.failed, result.chunks) == ([], [], 0)


async def test_a_file_named_with_strange_characters_is_taken_in(
    shelf: Library, tmp_path: Path
) -> None:
    name = os.fsdecode(b"caf\xe9 \xf0\x9f\x8c\xb2.md")
    write(tmp_path, {name: "words"})
    first = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    assert len(first.added) == 1
    again = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path, prune=True)
    assert (len(again.unchanged), again.removed) == (1, [])
    assert await shelf.texts() == ["words"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"encoding": "klingon"}, "should be the name of a text encoding"),
        ({"encoding": "base64"}, "should be the name of a text encoding"),
        ({"chunk_tokens": 100, "overlap_tokens": 51}, "at most half of `chunk_tokens`"),
        ({"max_file_mb": 0}, "greater than 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        IngestionSettings.model_validate(settings)


async def test_a_folder_that_cannot_be_listed_is_told_and_nothing_of_it_pruned(
    shelf: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a.md": "words", "locked/b.md": "words"})
    await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path)
    whole = os.scandir

    def scandir(path: str) -> Any:  # root may list every folder
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(os, "scandir", scandir)
    result = await shelf.ingestion.add(["."], scope=SHARED, base=tmp_path, prune=True)
    assert result.failed == [Failed("locked", "it cannot be read: Permission denied")]
    assert (result.unchanged, result.removed) == (["a.md"], [])
    assert await shelf.sources() == ["a.md", "locked/b.md"]


async def test_a_scope_of_everybody_takes_nothing_in(shelf: Library, tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "words"})
    with pytest.raises(ScopeError):
        await shelf.ingestion.add(["a.md"], scope=Scope.everyone(), base=tmp_path)
