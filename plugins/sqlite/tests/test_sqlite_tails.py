"""What is remembered of a history never hides what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import Session
from plugins.sqlite.tests.samples import history, texts, turn, with_turns

if TYPE_CHECKING:
    from plugins.sqlite.tests.conftest import Open


@pytest.fixture(params=[16, 0], ids=["remembers", "remembers nothing"])
def cache_size(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


async def test_what_others_append_is_seen(opened: Open, cache_size: int) -> None:
    mine, theirs = await opened(cache_size=cache_size), await opened(cache_size=cache_size)
    session = await with_turns(mine, "a", 2)
    expected = texts([*turn(0), *turn(1)])
    for number in range(2, 40):
        assert await history(mine, "a", 200) == expected[-200:]
        for store in (theirs, mine) if number % 3 else (theirs,) * 12:
            await store.append(session, turn(number))
            expected += texts(turn(number))
    assert await history(mine, "a") == await history(theirs, "a") == expected


async def test_any_tail_is_right_after_any_other(opened: Open, cache_size: int) -> None:
    store = await opened(cache_size=cache_size)
    session = Session(session_id="a")
    expected: list[str] = []
    for number, last in enumerate([2, 3, 1, 0, 5, 4, None, 7, 2, 100, 0, 1, 1, 9]):
        messages = turn(number)[: 1 + number % 2]
        await store.append(session, messages)
        expected += texts(messages)
        for asked in (last, 3):
            tail = [] if asked == 0 else expected[-(asked or len(expected)) :]
            assert await history(store, "a", asked) == tail


async def test_a_session_that_was_made_anew_has_its_own_history(
    opened: Open, cache_size: int
) -> None:
    mine, theirs = await opened(cache_size=cache_size), await opened(cache_size=cache_size)
    session = await with_turns(mine, "a", 2)
    assert len(await history(mine, "a")) == 4
    await theirs.delete("a")
    for number in (7, 8):
        await theirs.append(session, turn(number))
    assert await history(mine, "a") == texts([*turn(7), *turn(8)])


async def test_a_history_that_is_handed_out_may_be_changed(opened: Open, cache_size: int) -> None:
    store = await opened(cache_size=cache_size)
    session = await with_turns(store, "a", 2)
    for number in range(2, 5):
        found = await store.load("a")
        assert found is not None
        found.history.clear()
        await store.append(session, turn(number))
    assert len(await history(store, "a")) == 10


async def test_only_so_much_is_remembered(opened: Open) -> None:
    store = await opened(cache_size=1)
    long = [message.model_copy(update={"content": "x" * 200_000}) for message in turn(0)]
    for number in range(10):
        await store.append(Session(session_id=f"{number}"), long)
        assert len(await history(store, f"{number}")) == 2
    kept = store._tails._tails  # noqa: SLF001 - that it is bounded cannot be seen from outside
    assert list(kept) == ["8", "9"]
    for number in range(5):
        await store.append(Session(session_id="9"), long)
        assert len(await history(store, "9")) == 4 + 2 * number
    assert list(kept) == []
    assert len(await history(store, "8")) == 2
    await store.delete("8")
    assert list(kept) == []
    assert store._tails._size == 0  # noqa: SLF001 - as above
