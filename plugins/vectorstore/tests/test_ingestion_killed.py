"""The process is killed while documents are taken in."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dovetail_vectorstore import Ingestion, VectorStoreSettings, open_store
from plugins.vectorstore.tests.ingesting import SHARED, Embeddings, write

if TYPE_CHECKING:
    from pathlib import Path

PARTS = 5
# Dies in the middle of one of the calls of its model, and tells before what was acknowledged.
KILLED = """
import asyncio, os, signal, sys
from dovetail_vectorstore import Ingestion, VectorStoreSettings, open_store
from plugins.vectorstore.tests.ingesting import SHARED, Embeddings

class Fatal(Embeddings):
    left = int(sys.argv[1])
    async def embed(self, request, context):
        if not Fatal.left:
            os.kill(os.getpid(), signal.SIGKILL)
        Fatal.left -= 1
        return await super().embed(request, context)

async def main():
    settings = VectorStoreSettings(path="store", batch_size=2, concurrency=1)
    async with open_store(settings, Fatal()) as store:
        put = store.shared._backend.put
        async def told(collection, rows, *, model):
            await put(collection, rows, model=model)
            for row in rows:
                print(row.item.text.replace("\\n", " "), flush=True)
        store.shared._backend.put = told
        ingestion = Ingestion()
        ingestion.shared = store.shared
        await ingestion.add(["docs"], scope=SHARED)

asyncio.run(main())
"""


@pytest.mark.parametrize("calls", [1, 3, 4, 6])
async def test_what_was_acknowledged_is_there_and_the_rest_resumes(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a.md", "b.md", "c.md")
    sections = "".join(f"# S{number}\n\nSection {number} of {{}}.\n\n" for number in range(PARTS))
    write(tmp_path, {f"docs/{name}": sections.replace("{}", name) for name in names})
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, str(calls)],
        env={"PYTHONPATH": ":".join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    acknowledged = set(killed.stdout.splitlines())
    assert len(acknowledged) == 2 * calls
    monkeypatch.chdir(tmp_path)
    model = Embeddings()
    settings = VectorStoreSettings(path="store")
    async with open_store(settings, model) as store:
        there = {one.text.replace("\n", " ") for one in await store.page(scope=SHARED)}
        assert there == acknowledged
        ingestion = Ingestion()
        ingestion.shared = store.shared
        result = await ingestion.add(["docs"], scope=SHARED)
        assert sorted([*result.added, *result.unchanged]) == [f"docs/{name}" for name in names]
        embedded = {text.replace("\n", " ") for text in model.texts}
        assert not embedded & acknowledged
        assert len(embedded) + len(acknowledged) == PARTS * len(names)
        again = await ingestion.add(["docs"], scope=SHARED)
        assert again.unchanged == [f"docs/{name}" for name in names]
