"""One Ollama server: its addresses, and errors that say what to do about them."""

from __future__ import annotations

import socket
import time
from collections import OrderedDict
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from dovetail import (
    AuthenticationError,
    InvalidRequest,
    InvalidResponse,
    ModelNotFound,
    ProviderError,
    ProviderUnavailable,
    error_of_object,
)
from dovetail_ollama.models import (
    LocalModel,
    LocalModels,
    ModelCard,
    RunningModel,
    RunningModels,
    read,
)
from dovetail_ollama.pull import PullParser, PullState
from dovetail_ollama.request_builder import build_load

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from dovetail import HttpClient, Reply, StreamedReply
    from dovetail_ollama.settings import OllamaSettings

REMEMBERED = 128
"""Models whose cards are kept."""
FRESH = 600.0
"""Seconds for which a card is believed: somebody else may pull another model under the name."""
PUT_OFF = 5.0
"""Seconds for which the next request may be told what went wrong with a model's card before it."""
PULL_SILENCE = 3600.0
"""Seconds a pull may be silent: the server says nothing while it verifies what it fetched."""


class OllamaServer:
    """Asks the server that `settings` name. It belongs to the event loop it is first used on.

    All methods raise `ProviderError`s of the class that fits; `instance` is for their advice.
    """

    def __init__(self, settings: OllamaSettings, instance: str = "") -> None:
        self._settings = settings
        self._instance = instance
        self._client = self._connect(settings)
        self._cards: OrderedDict[str, tuple[float, ModelCard]] = OrderedDict()
        self._failed: tuple[float, str, ProviderError] | None = None

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    @asynccontextmanager
    async def chat(self, body: dict[str, Any]) -> AsyncGenerator[StreamedReply]:
        """The answer of `/api/chat` as it comes; leaving early closes its connection."""
        async with AsyncExitStack() as stack:
            with self._explaining(body["model"]):
                reply = await stack.enter_async_context(self._client.stream("/api/chat", body))
            yield reply

    async def embed(self, body: dict[str, Any]) -> object:
        """The answer of `/api/embed`."""
        return await self._post("/api/embed", body)

    async def tags(self) -> Sequence[LocalModel]:
        """The models on the server's disk."""
        with self._explaining():
            answer = _answer(await self._client.get("/api/tags"))
        return read(LocalModels, answer).models or ()

    async def ps(self) -> Sequence[RunningModel]:
        """The models in the server's memory."""
        with self._explaining():
            answer = _answer(await self._client.get("/api/ps"))
        return read(RunningModels, answer).models or ()

    async def show(self, model: str) -> ModelCard:
        """What a model says of itself, asked anew."""
        card = read(ModelCard, await self._post("/api/show", {"model": model}))
        return self._remember(model, card)

    async def card(self, model: str) -> ModelCard:
        """The same, as it was known at most `FRESH` seconds ago.

        It is empty where the server does not pass this question on, as a gateway may.

        Raises:
            ProviderError: what any other request would meet too, such as a wrong key.
        """
        failed, self._failed = self._failed, None
        if failed is not None and failed[1] == model and time.monotonic() - failed[0] < PUT_OFF:
            raise failed[2]
        known = self._cards.get(model)
        if known is not None and time.monotonic() - known[0] < FRESH:
            return known[1]
        try:
            return await self.show(model)
        except ModelNotFound:
            raise
        except AuthenticationError as error:
            error.message += "; where only `/api/show` is refused, set `num_ctx`: it is not asked"
            raise
        except (InvalidRequest, InvalidResponse):
            return self._remember(model, ModelCard())

    async def num_ctx(self, model: str) -> int:
        """Tokens of prompt and answer together that requests to `model` ask for.

        Raises:
            ProviderError: the server was asked for them, as `card` does.
        """
        if self._settings.num_ctx is not None:
            return self._settings.num_ctx
        return (await self.card(model)).num_ctx

    def put_off(self, model: str, error: ProviderError) -> None:
        """Raise `error` where `model`'s card is wanted next, rather than ask for it again."""
        self._failed = time.monotonic(), model, error

    async def load(self, model: str, keep_alive: float | None = None) -> None:
        """Have `model` in memory, for `keep_alive` seconds (as the settings have it)."""
        if keep_alive is None:
            keep_alive = self._settings.keep_alive
        body = build_load(model, await self.num_ctx(model), keep_alive)
        if (await self.card(model)).embeds:
            del body["messages"], body["stream"]
            await self._post("/api/embed", {**body, "input": []})
        else:
            await self._post("/api/chat", body)

    async def unload(self, model: str) -> None:
        """Have `model` out of memory."""
        await self._post("/api/chat", build_load(model, None, 0))

    async def delete(self, model: str) -> None:
        """Remove `model` from the server's disk."""
        self._cards.pop(model, None)
        with self._explaining(model):
            await self._client.post("/api/delete", {"model": model}, method="DELETE")

    async def pull(self, model: str, *, insecure: bool = False) -> AsyncGenerator[PullState]:
        """Fetch `model`; gives what is known of the progress, again and again.

        Leaving early stops it; the server keeps what it has and goes on from there the next time.

        Raises:
            ModelNotFound: the library has no such model.
            StreamInterrupted: it ended without success.
        """
        self._cards.pop(model, None)
        http = self._settings.http
        patient = http.model_copy(
            update={"between": max(http.between, PULL_SILENCE), "total": None}
        )
        client = self._connect(self._settings.model_copy(update={"http": patient}))
        body = {"model": model, "stream": True, **({"insecure": True} if insecure else {})}
        parser = PullParser(model)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(client.aclose)
            with self._explaining(model):
                reply = await stack.enter_async_context(client.stream("/api/pull", body))
            async for data in await stack.enter_async_context(aclosing(reply.chunks())):
                for state in parser.feed(data):
                    reply.progress()
                    yield state
            for state in parser.end():
                yield state

    def _remember(self, model: str, card: ModelCard) -> ModelCard:
        self._cards[model] = (time.monotonic(), card)
        self._cards.move_to_end(model)
        if len(self._cards) > REMEMBERED:
            self._cards.popitem(last=False)
        return card

    async def _post(self, path: str, body: dict[str, Any]) -> object:
        with self._explaining(body["model"]):
            return _answer(await self._client.post(path, body))

    def _connect(self, settings: OllamaSettings) -> HttpClient:
        # Here, since httpx takes 100 ms: a command that only reads settings need not wait for it.
        from dovetail import HttpClient

        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        if settings.api_key is not None:
            headers["authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
        return HttpClient(settings.base_url, settings.http, headers=headers)

    @contextmanager
    def _explaining(self, model: str = "") -> Iterator[None]:
        """Add to an error what an operator can do about it."""
        try:
            yield
        except ModelNotFound as error:
            if not model:
                raise
            where = f" -i {self._instance}" if self._instance not in ("", "ollama") else ""
            message = (
                f"there is no model `{model}` on this server; fetch it: "
                f"`dovetail ollama pull{where} {model}`"
            )
            details = error.details
            raise ModelNotFound(
                message, status=details.status, model=model, request_id=details.request_id
            ) from error
        except ProviderUnavailable as error:
            if self._settings.http.proxy is not None or not _unreachable(error):
                raise
            message = (
                f"nothing answers at {self._settings.base_url}; is Ollama running? Start it with "
                "`ollama serve`, or set `base_url` in this instance's table"
            )
            raise ProviderUnavailable(message, model=model) from error


def _answer(reply: Reply) -> object:
    """What a whole answer holds, unless that is an error in spite of its good status."""
    answer = reply.json()
    if isinstance(answer, dict) and answer.get("error") is not None:
        error = error_of_object(answer["error"], reply.status, reply.request_id)
        reply.keys.hide(error)
        raise error
    return answer


def _unreachable(error: BaseException) -> bool:
    """Whether nobody listens there, or there is no such place."""
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            break
        if isinstance(cause, ConnectionRefusedError | socket.gaierror):
            return True
        cause = getattr(cause, "os_error", None) or cause.__cause__ or cause.__context__
    return False
