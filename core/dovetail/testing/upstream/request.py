"""What a scripted server got, and reading it off the wire."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json


@dataclass(slots=True, eq=False)
class UpstreamRequest:
    """One request that came."""

    method: str
    path: str
    """Without the query."""
    query: str
    headers: dict[str, str]
    """Names in lower case; of several with one name the last."""
    body: bytes
    connection: int
    """The number of the connection it came on; the first is 0."""
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client closes the connection before the answer is complete."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the whole reply is sent, up to where the script ends it."""

    @property
    def json(self) -> Any:
        """The value of its body; raises ValueError if that is no JSON."""
        return from_json(self.body)


async def read_request(reader: asyncio.StreamReader, connection: int) -> UpstreamRequest | None:
    """The next request on a connection; None if the client closes it instead."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = line.split(" ", 2)
        path, _, query = target.partition("?")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (field.partition(":") for field in fields)
        }
        body = await _read_body(reader, headers)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return UpstreamRequest(method, path, query, headers, body, connection)


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    parts: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(parts)
