"""The scripted server does to the wire what its script says; a plain socket looks at that."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydantic_core import from_json

from dovetail.testing import (
    Gate,
    Pause,
    ScriptedReply,
    Upstream,
    UpstreamRequest,
    Wait,
    close_before_headers,
    comments_only,
    cut_between,
    cut_in_line,
    dies_when_reused,
    drip,
    error_inside,
    event_stream,
    garbage,
    gzipped,
    html_page,
    json_reply,
    length_mismatch,
    ollama_embeddings,
    ollama_json,
    ollama_ndjson,
    ollama_tags,
    openai_embeddings,
    openai_json,
    openai_models,
    openai_sse,
    raw,
    refused_url,
    reset_at_accept,
    reset_before_headers,
    retry_later,
    split_bytes,
    stall_after,
    with_type,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ASK = b"POST /v1/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}'
LAST = ASK.replace(b"Host", b"Connection: close\r\nHost")


@pytest.fixture
async def upstream(tidy: None) -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


async def connect(upstream: Upstream) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(upstream.url.rpartition(":")[2]))


async def whole(upstream: Upstream, ask: bytes = LAST) -> bytes:
    """Every byte until the server closes the connection."""
    reader, writer = await connect(upstream)
    writer.write(ask)
    data = await reader.read()
    writer.close()
    return data


def body_of(answer: bytes) -> bytes:
    """The body, put together from its chunks."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        return body
    found = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        found, body = found + body[:length], body[length + 2 :]
    return found


async def body(upstream: Upstream, reply: ScriptedReply) -> bytes:
    upstream.script(reply)
    return body_of(await whole(upstream))


async def test_a_request_is_noted(upstream: Upstream) -> None:
    upstream.script(json_reply(201, {"ok": True}, {"x-extra": "1"}))
    answer = await whole(upstream, LAST.replace(b"/v1/chat", b"/v1/chat?q=1"))
    assert answer.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"\r\nx-extra: 1\r\n" in answer
    assert answer.endswith(b'\r\n\r\n{"ok":true}')
    (request,) = upstream.requests
    assert (request.method, request.path, request.query) == ("POST", "/v1/chat", "q=1")
    assert request.headers["host"] == "x"
    assert request.json == {"a": 1}
    assert request.answered.is_set()
    assert not request.disconnected.is_set()


async def test_a_request_in_chunks_is_read(upstream: Upstream) -> None:
    upstream.script(openai_json())
    head = b"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    await whole(upstream, head + b'3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n')
    assert upstream.requests[0].json == {"a": 1}


async def test_replies_are_taken_in_order_and_the_last_stays(upstream: Upstream) -> None:
    upstream.reply("/chat", json_reply(200, 1), json_reply(200, 2))
    assert [body_of(await whole(upstream))[-1:] for _ in range(3)] == [b"1", b"2", b"2"]


async def test_the_longest_path_that_fits_answers(upstream: Upstream) -> None:
    upstream.script(json_reply(200, "any"))
    upstream.reply("/chat", json_reply(200, "short"))
    upstream.reply("/v1/chat", json_reply(200, "long"))
    assert body_of(await whole(upstream)) == b'"long"'
    assert body_of(await whole(upstream, LAST.replace(b"/v1/", b"/v2/"))) == b'"short"'
    assert body_of(await whole(upstream, LAST.replace(b"chat", b"models"))) == b'"any"'


async def test_a_reply_may_be_a_function_of_the_request(upstream: Upstream) -> None:
    def echo(request: UpstreamRequest) -> ScriptedReply:
        return json_reply(200, request.json)

    upstream.script(echo)
    assert body_of(await whole(upstream)) == b'{"a":1}'


async def test_what_is_not_scripted_is_not_found(upstream: Upstream) -> None:
    assert b"nothing is scripted for POST /v1/chat" in await whole(upstream)


async def test_a_function_that_fails_is_told_when_the_server_stops() -> None:
    def broken(request: UpstreamRequest) -> ScriptedReply:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with Upstream() as upstream:
            upstream.script(broken)
            assert await whole(upstream) == b""


async def test_connections_are_kept_and_counted(upstream: Upstream) -> None:
    upstream.script(openai_json(), openai_sse("one"))
    reader, writer = await connect(upstream)
    for _ in range(2):
        writer.write(ASK)
        await reader.readuntil(b"\r\n\r\n")
    await upstream.requests[1].answered.wait()
    assert (upstream.connections, upstream.open) == (1, 1)
    assert [request.connection for request in upstream.requests] == [0, 0]
    writer.close()


async def test_a_client_that_leaves_is_noticed(upstream: Upstream) -> None:
    upstream.script(stall_after(openai_sse("one two"), 1))
    _, writer = await connect(upstream)
    writer.write(ASK)
    request = await upstream.arrived()
    writer.close()
    async with asyncio.timeout(1):
        await request.disconnected.wait()
    assert not request.answered.is_set()


async def test_it_waits_where_the_script_waits(upstream: Upstream) -> None:
    gate = Gate()
    upstream.script(event_stream(b"one", Wait(gate), Pause(0.01), b"two"))
    reader, writer = await connect(upstream)
    writer.write(LAST)
    await reader.readuntil(b"one\r\n")
    await gate.reached()
    assert not upstream.requests[0].answered.is_set()
    gate.open()
    assert b"two" in await reader.read()
    writer.close()


async def test_stopping_ends_what_still_waits() -> None:
    async with Upstream() as upstream:
        upstream.script(stall_after(openai_sse("one two"), 1))
        reader, writer = await connect(upstream)
        writer.write(ASK)
        await reader.readuntil(b"one")
    assert b"two" not in await reader.read()
    assert upstream.open == 0
    writer.close()


async def test_answers_of_openai(upstream: Upstream) -> None:
    sent = openai_sse("Hello there", {"tool_calls": []}, {"choices": []}, usage={"total_tokens": 7})
    events = (await body(upstream, sent)).split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    chunks = [from_json(event.removeprefix(b"data: ")) for event in events[:-2]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas == [{"content": "Hello there"}, {"tool_calls": []}, {}]
    assert chunks[3]["choices"][0]["finish_reason"] == "stop"
    assert chunks[4]["usage"] == {"total_tokens": 7}
    assert (await body(upstream, openai_sse("a b"))).count(b"data:") == 4
    assert await body(upstream, openai_sse(finish=None, done=False)) == b""
    answer = from_json(await body(upstream, openai_json("Hi", finish="length", refusal="no")))
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Hi",
        "refusal": "no",
    }
    assert answer["choices"][0]["finish_reason"] == "length"
    vectors = from_json(await body(upstream, openai_embeddings([[1.0], [2.0]])))
    assert [item["embedding"] for item in vectors["data"]] == [[1.0], [2.0]]
    models = from_json(await body(upstream, openai_models("a", "b")))
    assert [item["id"] for item in models["data"]] == ["a", "b"]


async def test_answers_of_ollama(upstream: Upstream) -> None:
    lines = (await body(upstream, ollama_ndjson("Hi there", {"thinking": "hm"}))).splitlines()
    first, second, last = [from_json(line) for line in lines]
    assert first["message"] == {"role": "assistant", "content": "Hi there"}
    assert second["message"]["thinking"] == "hm"
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 2)
    assert len((await body(upstream, ollama_ndjson("a b", finish=None))).splitlines()) == 2
    pulled = await body(upstream, ollama_ndjson({"status": "success"}, finish=None))
    assert pulled == b'{"status":"success"}\n'
    answer = from_json(await body(upstream, ollama_json("Hi", done_extra=1)))
    assert answer["message"]["content"] == "Hi"
    vectors = from_json(await body(upstream, ollama_embeddings([[1.0]])))
    assert vectors["embeddings"] == [[1.0]]
    tags = from_json(await body(upstream, ollama_tags("a:1b")))
    assert tags["models"][0]["name"] == "a:1b"


async def test_faults_before_an_answer(upstream: Upstream) -> None:
    upstream.script(close_before_headers())
    assert await whole(upstream) == b""
    for fault in (reset_before_headers(), reset_at_accept()):
        upstream.script(fault)
        with pytest.raises(ConnectionResetError):
            await whole(upstream)
    assert len(upstream.requests) == 2
    assert upstream.connections == 3
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(refused_url().rpartition(":")[2]))


async def test_a_connection_that_dies_when_it_is_used_again(upstream: Upstream) -> None:
    upstream.script(dies_when_reused(openai_json()))
    reader, writer = await connect(upstream)
    writer.write(ASK)
    await upstream.arrived()
    await upstream.requests[0].answered.wait()
    writer.write(ASK)
    assert (await reader.read()).count(b"HTTP/1.1") == 1
    assert len(upstream.requests) == 2
    writer.close()


async def test_faults_in_an_answer(upstream: Upstream) -> None:
    stream, lines = openai_sse("one", "two"), ollama_ndjson("one", "two")
    assert (await body(upstream, cut_between(stream, 1))).count(b"data:") == 1
    half = await body(upstream, cut_in_line(stream, 1))
    assert half.count(b"data:") == 2
    assert not half.endswith(b"\n")
    broken = replace(cut_between(stream, 1, clean=False))
    upstream.script(broken)
    assert not (await whole(upstream)).endswith(b"0\r\n\r\n")
    assert (await body(upstream, error_inside(stream, 1))).endswith(
        b'data: {"error":{"message":"the model has crashed"}}\n\n'
    )
    assert (await body(upstream, error_inside(lines, 1, "oh"))).endswith(b'\n{"error":"oh"}\n')
    upstream.script(with_type(stream, "text/plain"))
    assert b"content-type: text/plain\r\n" in await whole(upstream)
    upstream.script(length_mismatch(json_reply(200, "x"), 5))
    assert b"content-length: 8\r\n" in await whole(upstream)
    assert b"\x00" in await body(upstream, garbage())
    with pytest.raises(TypeError, match="no bytes"):
        cut_in_line(event_stream(Pause(1)), 0)


async def test_comments_go_on_until_the_client_leaves(upstream: Upstream) -> None:
    upstream.script(comments_only(openai_sse("one"), 1, every=0.001, comment=b":k\n\n"))
    reader, writer = await connect(upstream)
    writer.write(ASK)
    for _ in range(20):
        await reader.readuntil(b":k\n\n")
    writer.close()
    await upstream.requests[0].disconnected.wait()


async def test_answers_that_ask_to_come_later(upstream: Upstream) -> None:
    upstream.script(
        retry_later(),
        retry_later(503, 2),
        retry_later(429, 0.5, "milliseconds"),
        retry_later(429, 9, "date"),
    )
    none, seconds, milliseconds, date = [await whole(upstream) for _ in range(4)]
    assert b"retry-after" not in none
    assert b" 503 " in seconds
    assert b"retry-after: 2\r\n" in seconds
    assert b"retry-after-ms: 500\r\n" in milliseconds
    assert b" GMT\r\n" in date
    upstream.script(html_page(502))
    assert b"<title>502 Bad Gateway</title>" in await whole(upstream)


@pytest.mark.parametrize("how", [split_bytes, drip])
async def test_in_small_pieces_it_is_the_same(
    how: Callable[[ScriptedReply], ScriptedReply], upstream: Upstream
) -> None:
    upstream.script(openai_sse("one two"))
    expected = await whole(upstream)
    upstream.script(how(openai_sse("one two")))
    assert await whole(upstream) == expected


async def test_in_gzip_it_is_the_same_in_the_end(upstream: Upstream) -> None:
    packed = await body(upstream, gzipped(openai_sse("one two")))
    plain = await body(upstream, openai_sse("one two"))
    assert zlib.decompress(packed, wbits=31) == plain


async def test_raw_is_every_byte_of_the_wire(upstream: Upstream) -> None:
    upstream.script(raw(b"HTTP/1.0 299 Odd\r\n\r\nhi"))
    assert await whole(upstream, ASK) == b"HTTP/1.0 299 Odd\r\n\r\nhi"


def test_it_needs_no_pytest() -> None:
    program = (
        "import sys; from dovetail.testing import Upstream, openai_sse, stall_after;"
        "sys.exit('pytest' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
