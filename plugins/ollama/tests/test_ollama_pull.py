"""Fetching a model: what the server tells of it, and how it is shown."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from dovetail import (
    InvalidResponse,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    StreamInterrupted,
)
from dovetail.testing import (
    cut_between,
    cut_in_line,
    ollama_ndjson,
    refused_url,
    split_bytes,
    stall_after,
)
from dovetail_ollama.progress import Progress, size_text
from dovetail_ollama.pull import PullParser, PullState
from plugins.ollama.tests.samples import LAYER, PULLED, SMALL, lines

if TYPE_CHECKING:
    from dovetail.testing import ScriptedReply, Upstream
    from plugins.ollama.tests.conftest import Open


def pulled(*values: dict[str, object]) -> ScriptedReply:
    return ollama_ndjson(*values, finish=None)


def states_of(pieces: list[bytes]) -> tuple[list[PullState], ProviderError | None]:
    parser = PullParser("llama3.2")
    states: list[PullState] = []
    try:
        for piece in pieces:
            states.extend(parser.feed(piece))
        states.extend(parser.end())
    except ProviderError as error:
        return states, error
    return states, None


@pytest.mark.parametrize("stream", [lines(*PULLED), lines(*PULLED)[:-1], lines(*PULLED)[:-5]])
def test_every_split_of_the_bytes_says_the_same(stream: bytes) -> None:
    def shape(pieces: list[bytes]) -> object:
        states, error = states_of(pieces)
        return states, type(error), str(error)

    whole = shape([stream])
    assert shape([stream[i : i + 1] for i in range(len(stream))]) == whole
    for at in range(len(stream) + 1):
        assert shape([stream[:at], stream[at:]]) == whole


def test_progress_is_told_by_digest_and_what_is_done_may_be_missing() -> None:
    states, error = states_of([lines(*PULLED)])
    assert error is None
    assert states[0] == PullState("pulling manifest")
    assert states[1] == PullState("pulling dde5aa3fc5ff", LAYER, 0, 2142590208)
    assert states[2].completed == 241970
    assert states[5].digest == SMALL
    assert states[-1].status == "success"


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        ({"error": "pull model manifest: file does not exist"}, ModelNotFound, "to fetch"),
        ({"error": "max retries exceeded: EOF"}, ProviderUnavailable, "max retries"),
        ({"status": "writing manifest"}, StreamInterrupted, "goes on where it stopped"),
        ([], InvalidResponse, "no object"),
    ],
)
def test_a_pull_that_fails(line: object, kind: type[ProviderError], says: str) -> None:
    states, error = states_of([lines(PULLED[0], line)])
    assert states[0].status == "pulling manifest"
    assert type(error) is kind
    assert says in str(error)


async def test_a_model_is_fetched(opened: Open, upstream: Upstream, transport: str) -> None:
    upstream.reply("/api/pull", split_bytes(pulled(*PULLED)), pulled(*PULLED))
    server = (await opened(http={"transport": transport})).server
    for insecure in (False, True):
        states = [state async for state in server.pull("llama3.2", insecure=insecure)]
        assert len(states) == len(PULLED)
    assert upstream.requests[0].json == {"model": "llama3.2", "stream": True}
    assert upstream.requests[1].json["insecure"] is True


async def test_fetching_has_its_own_patience(opened: Open, upstream: Upstream) -> None:
    upstream.reply("/api/pull", stall_after(pulled(*PULLED), 6))
    server = (await opened(http={"between": 0.1, "total": 0.2})).server
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), aclosing(server.pull("llama3.2")) as states:
            async for _ in states:
                pass
    async with asyncio.timeout(1):
        await upstream.requests[0].disconnected.wait()


@pytest.mark.parametrize("cut", [cut_in_line, cut_between])
@pytest.mark.parametrize("clean", [True, False])
async def test_a_pull_that_is_cut_short_is_no_success(
    opened: Open, upstream: Upstream, transport: str, cut: object, clean: bool
) -> None:
    assert callable(cut)
    upstream.reply("/api/pull", cut(pulled(*PULLED), len(PULLED) - 1, clean=clean))
    server = (await opened(http={"transport": transport})).server
    with pytest.raises(StreamInterrupted):
        _ = [state async for state in server.pull("llama3.2")]


async def test_a_pull_from_a_server_that_is_down(opened: Open) -> None:
    server = (await opened(base_url=refused_url())).server
    with pytest.raises(ProviderUnavailable, match="is Ollama running"):
        _ = [state async for state in server.pull("llama3.2")]


async def test_a_pull_that_does_not_begin(opened: Open, upstream: Upstream) -> None:
    upstream.reply("/api/pull", stall_after(pulled(*PULLED), 0))
    server = (await opened(http={"first_byte": 0.1})).server
    with pytest.raises(ProviderTimeout, match="did not begin"):
        _ = [state async for state in server.pull("llama3.2")]


class Clock:
    """Shows what a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def shown(states: list[tuple[float, PullState]], width: int | None) -> str:
    stream, clock = StringIO(), Clock()
    progress = Progress(stream, width, clock)
    for now, state in states:
        clock.now = now
        progress.show(state)
    progress.end()
    return stream.getvalue()


def layer(completed: int, total: int | None = 1_000_000_000) -> PullState:
    return PullState("pulling dde5aa3fc5ff", LAYER, completed, total)


def test_a_bar_shows_size_speed_and_time_left() -> None:
    text = shown([(0, layer(0)), (10, layer(250_000_000)), (40, layer(1_000_000_000))], 100)
    assert text == (
        "\rpulling dde5aa3fc5ff  [------------------------]   0 %  1.0 GB"
        "\rpulling dde5aa3fc5ff  [######------------------]  25 %  1.0 GB  25.0 MB/s  30 s left"
        "\rpulling dde5aa3fc5ff  [########################] 100 %  1.0 GB  25.0 MB/s           "
        "\n"
    )


def test_the_speed_is_that_of_this_time_not_of_what_was_there_before() -> None:
    text = shown([(5, layer(500_000_000)), (15, layer(600_000_000))], 100)
    assert "10.0 MB/s  40 s left" in text


def test_a_long_wait_is_told_in_hours() -> None:
    assert "2 h 46 min left" in shown([(0, layer(0)), (10, layer(1_000_000))], 100)
    assert "1 min 30 s left" in shown([(0, layer(0)), (10, layer(100_000_000))], 100)


def test_a_bar_is_drawn_ten_times_a_second_at_most_but_always_when_it_is_full() -> None:
    quick = [(1 + n / 1000, layer(n * 1_000_000)) for n in range(1001)]
    text = shown(quick, 100)
    assert text.count("\r") <= 12
    assert "100 %" in text


def test_a_bar_never_fills_the_line() -> None:
    text = shown([(0, layer(0)), (10, layer(250_000_000))], 40)
    assert max(map(len, text.replace("\n", "\r").split("\r"))) < 40


def test_each_file_and_each_step_has_a_line_of_its_own() -> None:
    text = shown([(0, PullState("pulling manifest")), (1, layer(5)), (2, PullState("success"))], 80)
    assert [line.strip("\r")[:16] for line in text.splitlines() if line.strip("\r")] == [
        "pulling manifest",
        "pulling dde5aa3f",
        "success",
    ]


def test_plain_lines_come_every_ten_per_cent() -> None:
    states = [(0.0, PullState("pulling manifest"))]
    states += [(float(n), layer(n * 10_000_000)) for n in range(101)]
    states += [(101.0, PullState("success"))]
    text = shown(states, None)
    assert "\r" not in text
    assert text.splitlines() == [
        "pulling manifest",
        *(f"pulling dde5aa3fc5ff: {step} % of 1.0 GB" for step in range(0, 101, 10)),
        "success",
    ]


@pytest.mark.parametrize("width", [None, 80])
def test_a_size_that_is_unknown_or_nothing_is_no_problem(width: int | None) -> None:
    assert "%" not in shown([(0, layer(5, None))], width)
    assert "100 %" in shown([(0, layer(0, 0))], width)
    assert "100 %" in shown([(0, layer(9, 3))], width)


@pytest.mark.parametrize("width", [None, 80])
def test_what_the_server_says_cannot_move_the_cursor(width: int | None) -> None:
    text = shown([(0, PullState("\x1b[2Jpulling\r\n manifest\x9b"))], width)
    assert text.strip() == "[2Jpulling manifest"


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1429, "1.4 kB"),
        (91_739_413, "91.7 MB"),
        (999_600, "1.0 MB"),
        (123_456_789, "123 MB"),
        (7_365_960_935, "7.4 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_are_said_as_people_do(size: int, said: str) -> None:
    assert size_text(size) == said
