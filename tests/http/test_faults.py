"""Every way a connection or an answer can fail gives the error that says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from dovetail import (
    AuthenticationError,
    HttpClient,
    InvalidRequest,
    InvalidResponse,
    PluginError,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from dovetail.testing import (
    ScriptedReply,
    Upstream,
    close_before_headers,
    comments_only,
    cut_between,
    cut_in_line,
    drip,
    endless_line,
    event_stream,
    garbage,
    gzipped,
    html_page,
    json_reply,
    length_mismatch,
    openai_error,
    openai_json,
    openai_sse,
    raw,
    refused_url,
    reset_at_accept,
    reset_before_headers,
    retry_later,
    split_bytes,
    stall_after,
    stall_before_body,
    stall_before_headers,
)
from tests.http.conftest import events_of
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.conftest import MakeClient

ID = {"x-request-id": "req-7"}
WHOLE = openai_json("Hello there", headers=ID)
STREAM = openai_sse("Hello there my friend", headers=ID)


class Fault(NamedTuple):
    reply: ScriptedReply
    kind: type[ProviderError]
    says: str
    status: int | None = None
    may_retry: bool = True
    retry_after: float | None = None
    request_id: str = ""


STALLING_ERROR = Fault(
    replace(stall_before_body(WHOLE), status=500),
    ProviderUnavailable,
    "answered 500",
    500,
    request_id="req-7",
)
UNANSWERED = {
    "reset at accept": Fault(reset_at_accept(), ProviderUnavailable, "closed the connection"),
    "reset": Fault(reset_before_headers(), ProviderUnavailable, "closed the connection"),
    "closed": Fault(close_before_headers(), ProviderUnavailable, "closed the connection"),
    "silent": Fault(stall_before_headers(), ProviderTimeout, "did not begin within 0.2 s"),
    "no HTTP": Fault(raw(b"\x15\x03\x01" * 9), InvalidResponse, "is not HTTP", may_retry=False),
    "half a head": Fault(
        raw(b"HTTP/1.1 200 OK\r\ncontent-"), ProviderUnavailable, "closed the connection"
    ),
    "a page": Fault(html_page(502), ProviderUnavailable, "502: 502 Bad Gateway", 502),
    "elsewhere": Fault(
        ScriptedReply((), 307, {"location": "https://there.test/v2"}),
        InvalidRequest,
        "points to https://there.test/v2: write its address as `base_url`",
        307,
        may_retry=False,
    ),
    "later": Fault(retry_later(), RateLimited, "come again later", 429),
    "later, in seconds": Fault(
        retry_later(429, 3), RateLimited, "come again later", 429, retry_after=3.0
    ),
    "later, in milliseconds": Fault(
        retry_later(503, 0.25, "milliseconds"), ProviderUnavailable, "", 503, retry_after=0.25
    ),
    "wrong key": Fault(
        openai_error(401, "Incorrect API key provided: sk-abcdefgh1234", headers=ID),
        AuthenticationError,
        "check `api_key`",
        401,
        may_retry=False,
        request_id="req-7",
    ),
    "an error that stalls": STALLING_ERROR,
    "an error that breaks off": Fault(
        length_mismatch(openai_error(400, "no")), InvalidRequest, "answered 400", 400,
        may_retry=False,
    ),
}  # fmt: skip

BROKEN = {
    "stalls before the body": Fault(stall_before_body(STREAM), ProviderTimeout, "did not begin"),
    "stalls": Fault(stall_after(STREAM, 2), ProviderTimeout, "stood still within 0.2 s"),
    "comments at once": Fault(comments_only(STREAM), ProviderTimeout, "stood still"),
    "comments later": Fault(comments_only(STREAM, 2), ProviderTimeout, "stood still"),
    "cut in a line": Fault(cut_in_line(STREAM, 2, clean=False), StreamInterrupted, "broke"),
    "cut between": Fault(cut_between(STREAM, 2, clean=False), StreamInterrupted, "broke"),
    "not the encoding": Fault(
        event_stream(b"no gzip", headers={"content-encoding": "gzip", **ID}),
        InvalidResponse,
        "not the gzip it says",
        may_retry=False,
    ),
}

WHOLE_BROKEN = {
    "stalls before the body": Fault(stall_before_body(WHOLE), ProviderTimeout, "did not begin"),
    "shorter than told": Fault(length_mismatch(WHOLE, 10), StreamInterrupted, "broke"),
    "cut": Fault(cut_in_line(WHOLE, 0), StreamInterrupted, "broke"),
}


def patience(fault: Fault) -> dict[str, float]:
    """Short limits only where they are what ends it, so that a busy machine makes no difference."""
    seconds = 0.2 if fault.kind is ProviderTimeout or fault is STALLING_ERROR else 20.0
    return {"first_byte": seconds, "between": seconds}


def check(error: ProviderError, fault: Fault) -> None:
    assert type(error) is fault.kind
    assert fault.says in str(error)
    details = error.details
    assert (details.status, details.may_retry) == (fault.status, fault.may_retry)
    assert (details.retry_after, details.request_id) == (fault.retry_after, fault.request_id)
    assert "sk-abc" not in str(error)


@pytest.mark.parametrize("name", UNANSWERED)
async def test_a_whole_answer_that_does_not_come(
    name: str, make_client: MakeClient, upstream: Upstream
) -> None:
    fault = UNANSWERED[name]
    upstream.script(fault.reply)
    with pytest.raises(ProviderError) as caught:
        await make_client(**patience(fault)).post("/chat", {})
    check(caught.value, fault)
    assert upstream.connections == 1
    assert len(upstream.requests) == (name != "reset at accept")


@pytest.mark.parametrize("name", UNANSWERED)
async def test_a_stream_that_does_not_begin(
    name: str, make_client: MakeClient, upstream: Upstream
) -> None:
    fault = UNANSWERED[name]
    upstream.script(fault.reply)
    with pytest.raises(ProviderError) as caught:
        async with make_client(**patience(fault)).stream("/chat", {}):
            pytest.fail("it began")
    check(caught.value, fault)
    assert upstream.connections == 1


@pytest.mark.parametrize("name", BROKEN)
async def test_a_stream_that_breaks(name: str, make_client: MakeClient, upstream: Upstream) -> None:
    fault = BROKEN[name]
    upstream.script(fault.reply)
    with pytest.raises(ProviderError) as caught:
        async with make_client(**patience(fault)).stream("/chat", {}) as reply:
            await events_of(reply)
    check(caught.value, fault._replace(status=200, request_id="req-7"))
    assert caught.value.__cause__ is not None
    assert len(upstream.requests) == 1
    await eventually(lambda: upstream.open == 0)  # broken or not, it is not used again


@pytest.mark.parametrize("name", WHOLE_BROKEN)
async def test_a_whole_answer_that_breaks(
    name: str, make_client: MakeClient, upstream: Upstream
) -> None:
    fault = WHOLE_BROKEN[name]
    upstream.script(fault.reply)
    with pytest.raises(ProviderError) as caught:
        await make_client(**patience(fault)).post("/chat", {})
    check(caught.value, fault._replace(status=200, request_id="req-7"))
    assert len(upstream.requests) == 1
    await eventually(lambda: upstream.open == 0)


@pytest.mark.parametrize("how", [split_bytes, drip, gzipped])
async def test_an_answer_in_small_pieces_is_the_same(
    how: Callable[[ScriptedReply], ScriptedReply], make_client: MakeClient, upstream: Upstream
) -> None:
    upstream.script(how(STREAM))
    client = make_client()
    async with client.stream("/chat", {}) as reply:
        events = await events_of(reply)
    assert len(events) == 6
    assert events[-1] == b"[DONE]"
    upstream.script(how(WHOLE))
    answer = (await client.post("/chat", {})).json()
    assert answer["choices"][0]["message"]["content"] == "Hello there"


async def test_a_stream_that_ends_early_but_in_order_gives_what_came(
    client: HttpClient, upstream: Upstream
) -> None:
    """Whether that was all is for whoever knows the protocol."""
    upstream.script(cut_in_line(STREAM, 2))
    async with client.stream("/chat", {}) as reply:
        assert len(await events_of(reply)) == 2


async def test_an_answer_that_is_no_json_shows_how_it_begins(
    client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(html_page(200, "Welcome"))
    reply = await client.post("/chat", {})
    with pytest.raises(InvalidResponse, match="is not JSON: '<!DOCTYPE html>"):
        reply.json()


async def test_garbage_in_a_stream_is_no_fault_of_the_connection(
    client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(garbage())
    async with client.stream("/chat", {}) as reply:
        assert await events_of(reply)


async def test_a_line_without_end_is_given_up(client: HttpClient, upstream: Upstream) -> None:
    upstream.script(endless_line())
    with pytest.raises(InvalidResponse, match="a line of more than 64 MiB"):
        async with client.stream("/chat", {}) as reply:
            await events_of(reply)
    await upstream.requests[0].disconnected.wait()


async def test_a_megabyte_in_one_line_is_fine(client: HttpClient, upstream: Upstream) -> None:
    upstream.script(openai_sse("x" * 2**20, "y"))
    async with client.stream("/chat", {}) as reply:
        assert len((await events_of(reply))[0]) > 2**20


async def test_more_than_was_told_is_no_part_of_the_answer(
    client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(length_mismatch(json_reply(200, {"a": 1}), -1))
    with pytest.raises(InvalidResponse):
        (await client.post("/chat", {})).json()


async def test_an_error_without_end_is_read_as_far_as_it_is_of_use(
    client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(replace(endless_line(), status=500))
    with pytest.raises(ProviderUnavailable, match="answered 500: data:"):
        await client.post("/chat", {})
    await upstream.requests[0].disconnected.wait()


async def test_an_answer_that_never_ends_is_given_up(
    client: HttpClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail.http.client.LARGEST", 5 * 2**20)
    upstream.script(endless_line())
    with pytest.raises(InvalidResponse, match="has more than 5 MiB"):
        await client.post("/chat", {})
    await upstream.requests[0].disconnected.wait()


async def test_a_header_of_20_kilobytes_is_read(client: HttpClient, upstream: Upstream) -> None:
    upstream.script(json_reply(200, {}, {"x-policy": "y" * 20_000}))
    reply = await client.post("/chat", {})
    assert len(reply.headers["x-policy"]) == 20_000


async def test_where_nothing_listens(make_client: MakeClient) -> None:
    for host in ("127.0.0.1", "localhost"):
        client = make_client(refused_url().replace("127.0.0.1", host))
        with pytest.raises(ProviderUnavailable, match="nothing listens at http://") as caught:
            await client.get("/models")
        assert host in str(caught.value)
        assert "is `base_url` right?" in str(caught.value)
        assert caught.value.details.may_retry


async def test_a_host_that_is_not_known(make_client: MakeClient) -> None:
    with pytest.raises(ProviderUnavailable, match=r"no host is known as nowhere\.invalid"):
        await make_client("http://nowhere.invalid").get("/models")


async def test_what_failed_before_is_no_cause_of_what_fails_now(
    make_client: MakeClient, upstream: Upstream
) -> None:
    """A fallback asks the second server while the first one's failure is being handled."""
    upstream.script(close_before_headers())
    try:
        await make_client(refused_url()).get("/models")
    except ProviderUnavailable:
        with pytest.raises(ProviderUnavailable, match="closed the connection"):
            await make_client().get("/models")


@pytest.mark.parametrize("url", ["127.0.0.1:11434", "ftp://x", "http://", "http://x:port"])
async def test_an_address_that_is_none_is_refused_at_once(
    url: str, make_client: MakeClient
) -> None:
    with pytest.raises(PluginError, match="`base_url`"):
        make_client(url)


@pytest.mark.parametrize("key", ["secret-key\n", "secret-\0key", "secret-ключ", " secret-key"])
async def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(
    key: str, make_client: MakeClient
) -> None:
    with pytest.raises(PluginError, match="the header `api-key` has") as caught:
        make_client(headers={"api-key": key})
    assert "secret" not in str(caught.value)
