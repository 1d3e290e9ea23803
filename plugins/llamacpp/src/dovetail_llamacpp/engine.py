"""One GGUF model in memory: loaded once, asked by many, freed at the end."""

from __future__ import annotations

import asyncio
import atexit
import json
import secrets
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, TypeVar

from dovetail import InvalidRequest, ProviderUnavailable, StreamInterrupted
from dovetail_llamacpp.gguf import BadFile, Header, read_header
from dovetail_llamacpp.jobs import Job, Workers
from dovetail_llamacpp.native import open_server
from dovetail_llamacpp.wire import error_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from xllamacpp import Server

    from dovetail_llamacpp.options import Options

T = TypeVar("T")

RETURN_LIMIT = 5.0
"""Seconds that whoever cancels waits for the native call to return. It notices at the next token,
or at the end of the batch of the prompt it is reading."""
EXIT_LIMIT = 5.0
"""Seconds that the end of the process waits for it: leaving while it runs would be a crash."""
_TEXTS, _CHARACTERS = 32, 16_000


class Engine:
    """Answers with the model of `options`, which is loaded when first needed.

    All methods belong to one event loop. Native calls run on daemon threads, one for each slot;
    more requests wait in the order they came, and one that is cancelled while it waits just goes.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.users = 0
        """How many requests hold it; for whoever decides what stays in memory."""
        self._server: Server | None = None
        self._header: Header | None = None
        self._key = secrets.token_urlsafe(24)
        self._loading: Job[None] | None = None
        self._slots = Workers(options.name, options.slots, options.waiting)
        # Loading, counting and freeing do not queue behind answers.
        self._side = Workers(f"{options.name}-side", 1, options.waiting)
        self._closed = False

    async def header(self) -> Header:
        """What the file says of itself, read off the loop."""
        if self._header is None:
            await self._ask(self._side, Job(lambda _job: self._read_header()))
        assert self._header is not None  # noqa: S101 - read by the job
        return self._header

    async def context(self) -> int:
        """Tokens that prompt and answer may have together."""
        return self.options.tokens(await self.header())

    async def load(self) -> None:
        """Load the model, if it is not; whoever comes meanwhile waits for the same load.

        A caller that is cancelled leaves the load to the others. A load that failed is tried again
        by the next who asks.

        Raises:
            InvalidRequest: the file is no whole GGUF file, or llama.cpp refuses it.
        """
        if self._server is not None:
            return
        if self._loading is None:
            self._loading = Job(lambda _job: self._load())
            self._loading.result.add_done_callback(self._loaded)
            self._side.submit(self._loading)
        await asyncio.shield(self._loading.result)

    async def generate(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The chunks of llama.cpp's answer to an OpenAI chat request, as they come.

        Leaving the generator ends the native call and waits, at most `RETURN_LIMIT`, until it has
        returned.

        Raises:
            ProviderError: what llama.cpp says is wrong.
        """
        await self.load()
        finished = False
        job: Job[None] = Job(lambda job: self._chat(body, job))
        self._slots.submit(job)
        try:
            while (chunks := await job.more()) is not None:
                for chunk in chunks:
                    if "error" in chunk:
                        raise error_of(chunk["error"], self.options.name)
                    finished = finished or any(c.get("finish_reason") for c in chunk["choices"])
                    yield chunk
        except (ValueError, TypeError, RuntimeError) as error:
            raise InvalidRequest(f"llama.cpp refused the request: {error}") from error
        finally:
            await _end(self._slots, job)
        if not finished:
            raise StreamInterrupted(
                "llama.cpp ended the answer too early; `verbosity = 3` has it say why on stderr"
            )

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """A vector for each text, in order, and the number of tokens they had.

        Raises:
            ProviderError: what llama.cpp says is wrong.
        """
        await self.load()
        vectors: list[list[float]] = []
        tokens = 0
        for piece in _pieces(texts):  # a piece is the longest that a cancel has to wait for
            answer = await self._ask(self._slots, Job(lambda _job, p=piece: self._embed(p)))  # type: ignore[misc]
            if "error" in answer:
                raise error_of(answer["error"], self.options.name)
            ordered = sorted(answer["data"], key=lambda item: item["index"])
            vectors += [item["embedding"] for item in ordered]
            tokens += answer["usage"]["prompt_tokens"]
        return vectors, tokens

    async def count(self, body: dict[str, Any]) -> int | None:
        """How many tokens the prompt of a chat request has; None if it cannot be told."""
        await self.load()
        return await self._ask(self._side, Job(lambda _job: self._count(body)))

    async def close(self) -> None:
        """End what runs, refuse what waits, and free the model."""
        if self._closed:
            return
        self._closed = True
        running = [job.result for job in self._slots.close()]
        if running:
            await asyncio.wait(running, timeout=RETURN_LIMIT)
        try:
            # Freeing joins llama.cpp's own threads, and so must not happen on the loop.
            await self._ask(self._side, Job(lambda _job: self._free()))
        finally:
            self._side.close()
            atexit.unregister(self._exit)

    async def _ask(self, workers: Workers, job: Job[T]) -> T:
        workers.submit(job)
        try:
            return await asyncio.shield(job.result)
        except (ValueError, TypeError, RuntimeError) as error:
            raise InvalidRequest(f"llama.cpp refused the request: {error}") from error
        finally:
            await _end(workers, job)

    # What follows runs on the workers' threads. The server is never kept in a local variable: an
    # error's traceback would keep it, and with it the model, in memory.

    def _read_header(self) -> None:
        path = self.options.path
        try:
            self._header = read_header(path)
        except (BadFile, OSError) as error:
            raise InvalidRequest(f"`{path}` cannot be loaded: {error}") from error

    def _load(self) -> None:
        self._read_header()  # again, for a file that was mended since
        assert self._header is not None  # noqa: S101 - read just now
        self._server = open_server(self.options, self._header, self._key)
        atexit.register(self._exit)

    def _loaded(self, _result: asyncio.Future[None]) -> None:
        self._loading = None

    def _chat(self, body: dict[str, Any], job: Job[None]) -> None:
        failure: list[BaseException] = []

        def on_chunk(chunk: dict[str, Any]) -> bool:
            try:
                return job.put(chunk)
            except BaseException as error:  # noqa: BLE001 - xllamacpp would drop it without a word
                failure.append(error)
                return True

        self._running().handle_chat_completions(body, on_chunk)
        if failure:
            raise failure[0]

    def _embed(self, texts: Sequence[str]) -> dict[str, Any]:
        answer: dict[str, Any] = self._running().handle_embeddings({"input": list(texts)})
        return answer

    def _count(self, body: dict[str, Any]) -> int | None:
        # xllamacpp has no call for it, but the model's own HTTP server on the loopback does.
        host, port = self._running().listening_address.removeprefix("http://").rsplit(":", 1)
        connection = HTTPConnection(host, int(port), timeout=RETURN_LIMIT)
        try:
            headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
            path = "/v1/chat/completions/input_tokens"
            connection.request("POST", path, json.dumps(body), headers)
            answer = json.loads(connection.getresponse().read())
        except (OSError, HTTPException, ValueError):
            return None  # counting is a help for others: the request itself will say what is wrong
        finally:
            connection.close()
        tokens = answer.get("input_tokens")
        return tokens if isinstance(tokens, int) else None

    def _running(self) -> Server:
        if self._server is None:
            raise ProviderUnavailable(f"`{self.options.name}` was closed")
        return self._server

    def _free(self) -> None:
        self._server = None

    def _exit(self) -> None:
        for job in self._slots.close():
            job.finished.wait(EXIT_LIMIT)
        self._server = None


async def _end(workers: Workers, job: Job[Any]) -> None:
    """Take a job back or, if it runs, stop it and wait until it has returned."""
    if job.result.done() or workers.withdraw(job):
        return
    job.stop()
    await asyncio.wait((job.result,), timeout=RETURN_LIMIT)


def _pieces(texts: Sequence[str]) -> Iterator[list[str]]:
    piece: list[str] = []
    room = _CHARACTERS
    for text in texts:
        if piece and (len(piece) == _TEXTS or len(text) > room):
            yield piece
            piece, room = [], _CHARACTERS
        piece.append(text)
        room -= len(text)
    if piece:
        yield piece
