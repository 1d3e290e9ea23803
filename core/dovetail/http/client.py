"""One provider instance's connections: requests with limits, and errors that name the instance."""

from __future__ import annotations

import sys
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx
from pydantic_core import to_json

from dovetail.errors import InvalidResponse, ProviderError, StreamInterrupted
from dovetail.http.checking import check_headers, check_url
from dovetail.http.deadline import Deadline, Expired
from dovetail.http.failures import error_of_response, request_id_of
from dovetail.http.faults import causes_of, died_unanswered, error_of_fault, error_of_limit
from dovetail.http.keys import Keys
from dovetail.http.ndjson import parse_json
from dovetail.http.transport import Attempt, attempt, make_transport, proxy_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from dovetail.http.options import HttpOptions

LARGEST = 256 * 1024 * 1024
"""Bytes a whole answer may have."""
LARGEST_ERROR = 1024 * 1024
"""Bytes of an error's answer that are read."""

# It takes a tenth of a request's time, and the addresses of a server are few.
_parsed = lru_cache(maxsize=256)(httpx.URL)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer with a good status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    keys: Keys = field(default_factory=Keys, repr=False, compare=False)
    """What an error must not show of the body."""

    @property
    def request_id(self) -> str:
        """The id that the server gave the request; empty if it gave none."""
        return request_id_of(self.headers)

    def json(self) -> Any:
        """The value of its JSON.

        Raises:
            InvalidResponse: it is no JSON, such as a page for people.
        """
        try:
            return parse_json(self.body)
        except InvalidResponse as error:
            self.keys.hide(error)
            raise


class HttpClient:
    """Sends requests to one server. It belongs to the event loop it is first used on.

    Requests are not retried here, with one exception: one whose pooled connection died before the
    first byte of the answer is sent again, once, on a new one. (The transport `httpx` may take
    another pooled one, and does not tell of bytes that are less than the answer's head.)
    """

    def __init__(
        self,
        base_url: str,
        options: HttpOptions,
        *,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare; a connection is made when there is a request.

        `headers` go with each request. `transport` is for tests of what a transport may do.

        Raises:
            PluginError: `base_url` or a header cannot be used, or a library is not installed.
        """
        self._base = base_url.rstrip("/")
        self._url = check_url(self._base)
        self._options = options
        self._headers = check_headers(
            {"user-agent": "dovetail", "accept-encoding": "identity", **(headers or {})}
        )
        self._keys = Keys(headers)
        self._json_headers = self._headers.copy()
        self._json_headers["content-type"] = "application/json"
        self._proxy = proxy_for(options, self._url)
        self._transport = transport or make_transport(options, self._proxy)
        self._timeout = {"connect": options.connect, "read": None, "write": None, "pool": None}

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def get(self, path: str) -> Reply:
        """The whole answer to a GET; raises as `post` does."""
        return await self._whole("GET", path, None)

    async def post(self, path: str, body: Mapping[str, Any], *, method: str = "POST") -> Reply:
        """The whole answer to `body`, sent as JSON.

        Raises:
            ProviderError: of the class that fits: the server is away, too slow, or says no.
        """
        return await self._whole(method, path, to_json(body))

    @asynccontextmanager
    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[StreamedReply]:
        """The answer to `body` as it comes; its connection is closed when this is left early.

        Raises:
            ProviderError: as `post` does, before the first byte. One that is raised while the
                answer is read, by whoever reads it, comes out without the keys that were sent.
        """
        deadline = Deadline(self._options.total)
        try:
            response = await self._open("POST", path, to_json(body), deadline)
            reply = StreamedReply(response, deadline, self._options)
            try:
                yield reply
            except ProviderError as error:
                self._keys.hide(error)
                raise
            finally:
                await reply.aclose()
        finally:
            deadline.close()

    async def _whole(self, method: str, path: str, body: bytes | None) -> Reply:
        deadline = Deadline(self._options.total)
        try:
            response = await self._open(method, path, body, deadline)
            reply = StreamedReply(response, deadline, self._options)
            try:
                body = await reply.read(LARGEST)
                return Reply(response.status_code, response.headers, body, self._keys)
            finally:
                await reply.aclose()
        finally:
            deadline.close()

    async def _open(
        self, method: str, path: str, body: bytes | None, deadline: Deadline
    ) -> httpx.Response:
        """The answer's head, if its status is good."""
        response = await self._send(method, path, body, deadline)
        if 200 <= response.status_code < 300:
            return response
        reply = StreamedReply(response, deadline, self._options)
        try:
            words = await reply.read(LARGEST_ERROR, cut=True)
        except ProviderError:
            words = b""  # the status says more than how its explanation broke off
        finally:
            await reply.aclose()
        # Masked before it is shortened: half a key would not be known for one.
        mask = self._keys.mask
        headers = {name: mask(value.encode()).decode() for name, value in response.headers.items()}
        raise error_of_response(response.status_code, headers, mask(words))

    async def _send(
        self, method: str, path: str, body: bytes | None, deadline: Deadline
    ) -> httpx.Response:
        handled = sys.exception()
        first = Attempt()
        try:
            return await self._send_once(method, path, body, deadline, first)
        except Expired as limit:
            raise error_of_limit(limit) from limit
        except Exception as fault:
            # Transports raise what they like; whatever it is, it is this exchange that failed.
            causes = causes_of(fault, handled)
            if first.fresh or first.answered or not died_unanswered(causes):
                raise error_of_fault(causes, self._url, self._proxy) from fault
        try:
            return await self._send_once(method, path, body, deadline, Attempt(anew=True))
        except Expired as limit:
            raise error_of_limit(limit) from limit
        except Exception as fault:  # as above
            causes = causes_of(fault, handled)
            raise error_of_fault(causes, self._url, self._proxy) from fault

    async def _send_once(
        self, method: str, path: str, body: bytes | None, deadline: Deadline, this: Attempt
    ) -> httpx.Response:
        request = httpx.Request(
            method,
            _parsed(self._base + path),
            headers=self._headers if body is None else self._json_headers,
            content=body,
            extensions={"timeout": self._timeout, "trace": _trace},
        )
        token = attempt.set(this)
        try:
            with deadline.step("first byte", self._options.first_byte):
                return await self._transport.handle_async_request(request)
        finally:
            attempt.reset(token)


class StreamedReply:
    """An answer that is coming."""

    __slots__ = ("_closed", "_deadline", "_options", "_response", "_source")

    def __init__(self, response: httpx.Response, deadline: Deadline, options: HttpOptions) -> None:
        self._response = response
        self._deadline = deadline
        self._options = options
        # httpx's own iterator decodes; without an encoding its chunker only costs time.
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        raw = response.aiter_bytes() if encoded else response.stream
        self._source: AsyncIterator[bytes] = aiter(raw)  # type: ignore[arg-type]
        self._closed = False

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""
        return self._response.headers

    @property
    def status(self) -> int:
        """Its status, which is a good one."""
        return self._response.status_code

    @property
    def request_id(self) -> str:
        """The id that the server gave the request; empty if it gave none."""
        return request_id_of(self._response.headers)

    def progress(self) -> None:
        """A piece of the answer came: the time between two begins anew.

        Whoever decodes calls it, since bytes alone may be comments that keep the connection alive.
        """
        self._deadline.progress()

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Its bytes as they come.

        Raises:
            ProviderTimeout: nothing came for too long.
            StreamInterrupted: the connection broke.
        """
        deadline, limit, source = self._deadline, self._options.between, self._source
        try:
            with deadline.step("first byte", self._options.first_byte):
                data = await source.__anext__()
            while True:
                yield data
                with deadline.step("between two pieces", limit):
                    data = await source.__anext__()
        except StopAsyncIteration:
            return
        except Expired as expired:
            raise error_of_limit(
                expired, status=self.status, request_id=self.request_id
            ) from expired
        except httpx.DecodingError as fault:
            message = f"the answer is not the {self.headers['content-encoding']} it says it is"
            raise InvalidResponse(
                message, status=self.status, request_id=self.request_id
            ) from fault
        except Exception as fault:  # transports raise what they like
            message = "the connection broke in the middle of the answer"
            raise StreamInterrupted(
                message, status=self.status, request_id=self.request_id
            ) from fault

    async def read(self, largest: int, *, cut: bool = False) -> bytes:
        """All of it, at most `largest` bytes.

        If `cut`, more is left out rather than an error, and all must come in the time between two
        pieces: who waits for the words of an error need not wait for as long as some come.
        """
        parts: list[bytes] = []
        size = 0
        async with aclosing(self.chunks()) as pieces:
            async for data in pieces:
                if not cut:
                    self.progress()
                parts.append(data)
                size += len(data)
                if size > largest:
                    if cut:
                        break
                    message = f"the answer has more than {largest // 2**20} MiB"
                    raise InvalidResponse(message)
        return b"".join(parts)

    async def aclose(self) -> None:
        """Give the connection back if the answer was read to its end; close it if not."""
        if not self._closed:
            self._closed = True
            close = getattr(self._source, "aclose", None)
            if close is not None:
                await close()
            await self._response.aclose()


async def _trace(event: str, _info: object) -> None:
    """Called by httpcore, which aiohttp does not know."""
    if event.startswith("connection.connect"):
        attempt.get().fresh = True
