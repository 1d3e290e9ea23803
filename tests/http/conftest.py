"""A server, clients of it over both transports, and a look at what each test leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import HttpClient, HttpOptions, SseDecoder
from dovetail.testing import Upstream
from dovetail.testing.leaks import Census

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dovetail import StreamedReply

    MakeClient = Callable[..., HttpClient]


@pytest.fixture(params=["aiohttp", "httpx"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def tidy() -> AsyncIterator[None]:
    """Fail a test that leaves a task or a socket."""
    before = Census.take()
    yield
    found = await before.settled()
    # The loop keeps the threads in which it looked up names.
    assert [what for what in found if not what.endswith("threads")] == []


@pytest.fixture
async def upstream(tidy: None) -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def make_client(tidy: None, upstream: Upstream, transport: str) -> AsyncIterator[MakeClient]:
    """Make clients of `upstream` with options of `http`; `url` and `headers` may be given too."""
    made: list[HttpClient] = []

    def make(url: str = "", headers: dict[str, str] | None = None, **options: object) -> HttpClient:
        chosen = HttpOptions.model_validate({"transport": transport, **options})
        made.append(HttpClient(url or upstream.url, chosen, headers=headers))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


@pytest.fixture
def client(make_client: MakeClient) -> HttpClient:
    """A client of `upstream`."""
    return make_client(first_byte=20, between=20)


async def events_of(reply: StreamedReply) -> list[bytes]:
    """The data of all its events, as a provider reads them."""
    decoder, found = SseDecoder(), []
    async for data in reply.chunks():
        for event in decoder.feed(data):
            reply.progress()
            found.append(event.data)
    return found
