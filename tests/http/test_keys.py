"""No error shows a part of a key that was sent, however a server repeats it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from pydantic_core import to_json

from dovetail import (
    InvalidRequest,
    InvalidResponse,
    NdjsonDecoder,
    ProviderError,
    StreamInterrupted,
    error_of_object,
    parse_json,
)
from dovetail.testing import ScriptedReply, Upstream, event_stream, json_reply, openai_error
from tests.http.conftest import events_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail import HttpClient, StreamedReply
    from tests.http.conftest import MakeClient

KEYS = ["hunter2-secretsecretsecret", 'p/s+w=rd&long"quote-key', "it's-a\\strange\"key-8"]
WRITTEN = {
    "escaped slashes": lambda key: to_json(key)[1:-1].replace(b"/", rb"\/"),
    "numbers": lambda key: re.sub(r"\W", lambda char: f"\\u{ord(char[0]):04X}", key).encode(),
    "JSON in JSON": lambda key: to_json(to_json(key).decode())[3:-3].replace(b"/", rb"\/"),
    "an address": lambda key: quote(key, safe="").encode(),
}
"""Ways to write a key in JSON other than the shortest."""
PADDINGS = [0, 40, 60, 66, 70, 480, 490]
"""Bytes before the key, so that the limits of what is shown (80 and 500) cut it."""


def client_with(key: str, make_client: MakeClient) -> HttpClient:
    return make_client(headers={"authorization": f"Bearer {key}"})


def assert_hidden(key: str, error: BaseException | None) -> None:
    """No part of 6 bytes is in the error, nor in what caused it."""
    parts = {key[start : start + 6] for start in range(len(key) - 5)}
    while error is not None:
        shown = f"{error} {error!r} {error.args}"
        assert not [part for part in parts if part in shown or repr(part)[1:-1] in shown]
        error = error.__cause__


async def all_values(reply: StreamedReply) -> None:
    decoder = NdjsonDecoder()
    async for data in reply.chunks():
        decoder.feed(data)
    try:
        decoder.end()
    except InvalidResponse as error:
        message = "it broke off in mid-line"
        raise StreamInterrupted(message) from error


async def all_events(reply: StreamedReply) -> None:
    for data in await events_of(reply):
        parse_json(data)


async def test_what_looks_like_a_key_is_masked_though_it_was_not_sent(
    client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(openai_error(400, "bad header Authorization: Bearer abcdef123456"))
    with pytest.raises(InvalidRequest) as caught:
        await client.post("/chat", {})
    assert "abcdef" not in str(caught.value)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("padding", PADDINGS)
async def test_in_a_whole_answer(
    make_client: MakeClient, upstream: Upstream, key: str, padding: int
) -> None:
    client = client_with(key, make_client)
    said = "x" * padding + f" Bearer {key} tail"
    upstream.script(
        json_reply(401, {"error": {"message": said}}),
        json_reply(401, said),
        ScriptedReply((said.encode(),)),
    )
    for _ in range(3):
        with pytest.raises(ProviderError) as caught:
            (await client.get("/x")).json()
        assert_hidden(key, caught.value)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("written", ["as it is", "as JSON"])
async def test_in_a_garbled_line_of_a_stream(
    make_client: MakeClient, upstream: Upstream, key: str, padding: int, written: str
) -> None:
    said = key.encode() if written == "as it is" else to_json(key)
    line = b"{" + b"x" * padding + said
    upstream.script(
        event_stream(b'data: {"good": 1}\n\ndata: ', line, b"\n\n"),
        ScriptedReply((b'{"good": 1}\n', line, b"\n")),
        ScriptedReply((b'{"good": 1}\n', line)),
    )
    client = client_with(key, make_client)
    for read in (all_events, all_values, all_values):
        with pytest.raises(ProviderError) as caught:
            async with client.stream("/chat", {}) as reply:
                await read(reply)
        assert "{" + "x" * min(padding, 79) in f"{caught.value} {caught.value.__cause__}"
        assert_hidden(key, caught.value)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("padding", PADDINGS)
async def test_in_an_error_inside_a_stream(
    make_client: MakeClient, upstream: Upstream, key: str, padding: int
) -> None:
    said = "x" * padding + key
    errors = [said, {"message": said}, {"odd": said}, [said]]
    upstream.script(*(ScriptedReply((to_json(error),)) for error in errors))
    client = client_with(key, make_client)
    for _ in errors:
        with pytest.raises(
            ProviderError, match=r"broke off with an error: .*; try again$"
        ) as caught:
            async with client.stream("/chat", {}) as reply:
                error = error_of_object(parse_json(await reply.read(10_000)))
                error.message += "; try again"
                raise error
        assert_hidden(key, caught.value)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN.keys())
async def test_however_it_is_written(
    make_client: MakeClient,
    upstream: Upstream,
    key: str,
    padding: int,
    write: Callable[[str], bytes],
) -> None:
    written = write(key)
    words = b"x" * padding + written
    upstream.script(
        ScriptedReply((b'{"error": {"message": "%b"}}' % words,), 401),
        ScriptedReply((b'{"%b": 1}' % words,), 400),
        ScriptedReply((b'{"%b' % words,)),
        event_stream(b'data: {"%b\n\n' % words),
    )
    client = client_with(key, make_client)
    for path in ("whole", "whole", "whole", "stream"):
        with pytest.raises(ProviderError) as caught:
            if path == "whole":
                (await client.get("/x")).json()
            async with client.stream("/chat", {}) as reply:
                await all_events(reply)
        assert_hidden(key, caught.value)
        assert_hidden(written.decode(), caught.value)


@pytest.mark.parametrize("padding", PADDINGS)
async def test_in_an_address_that_it_points_to(
    make_client: MakeClient, upstream: Upstream, padding: int
) -> None:
    where = f"https://example.com/{'x' * padding}{KEYS[0]}"
    upstream.script(json_reply(307, {}, {"location": where, "x-request-id": KEYS[0]}))
    with pytest.raises(InvalidRequest, match=r"points to https://example\.com/") as caught:
        await client_with(KEYS[0], make_client).get("/x")
    assert_hidden(KEYS[0], caught.value)
    assert caught.value.details.request_id == "***"


async def test_in_what_a_reader_says_of_a_stream(
    make_client: MakeClient, upstream: Upstream
) -> None:
    upstream.script(json_reply(200, {}))
    with pytest.raises(InvalidResponse, match=r"^odd: \*\*\* and nothing else$"):
        async with client_with(KEYS[0], make_client).stream("/chat", {}):
            raise InvalidResponse(f"odd: {KEYS[0]} and nothing else")


async def test_an_error_of_many_words_ends_with_a_whole_one() -> None:
    """Whoever masks keys later than it was shortened finds them whole or not at all."""
    said = "a " * 245 + KEYS[0]
    assert str(error_of_object(said)).endswith(" a a…")
