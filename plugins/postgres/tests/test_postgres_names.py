"""Ids are only names, and what PostgreSQL cannot keep as one is refused clearly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import Session, SessionError, new_id
from plugins.postgres.tests.sayings import said, session, turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dovetail_postgres import PostgresSessionStore

    Act = Callable[[PostgresSessionStore, Session], Awaitable[object]]

WRONG = {
    "a\0b": r"cannot hold the character NUL: `a\x00b`",
    "\udc80": r"cannot hold half of a surrogate pair: `\udc80`",
    "é" * 513: f"has at most 512 characters: `{'é' * 80}…` has 513",
    "../" * 3_500_000: f"has at most 512 characters: `{('../' * 27)[:80]}…` has 10500000",
}
ACTS: dict[str, Act] = {
    "load": lambda store, it: store.load(it.session_id),
    "append": lambda store, it: store.append(it, turn(0)),
    "set": lambda store, it: store.set(it),
    "touch": lambda store, it: store.touch(it),
    "delete": lambda store, it: store.delete(it.session_id),
    "list": lambda store, it: store.list_sessions(after=it.session_id),
}


@pytest.mark.parametrize("name", WRONG, ids=["NUL", "surrogate", "513", "10 MB"])
@pytest.mark.parametrize("act", ACTS)
async def test_an_id_that_cannot_be_kept_is_refused(
    store: PostgresSessionStore, name: str, act: str
) -> None:
    with pytest.raises(SessionError) as caught:
        await ACTS[act](store, session(session_id=name))
    assert str(caught.value) == f"a session's id {WRONG[name]}"


@pytest.mark.parametrize("user", ["a\0b", "\udc80"], ids=ascii)
async def test_a_user_that_cannot_be_kept_is_refused(
    store: PostgresSessionStore, user: str
) -> None:
    for act in ("append", "set", "touch"):
        with pytest.raises(SessionError, match="the user cannot hold"):
            await ACTS[act](store, session(user_id=user))
    with pytest.raises(SessionError, match="the user cannot hold"):
        await store.list_sessions(user)


async def test_the_longest_names_are_kept_and_listed(store: PostgresSessionStore) -> None:
    """Characters that take most bytes, and do not compress."""
    user = "".join(chr(0x10000 + 97 * n) for n in range(5000)) + new_id()
    name = "".join(chr(0x20000 + 89 * n) for n in range(512 - 36)) + new_id()
    kept = session(session_id=name, user_id=user)
    await store.append(kept, turn(0))
    assert await said(store, kept) == ["question 0", "answer 0"]
    assert [found.session_id for found in await store.list_sessions(user)] == [name]
    assert await store.list_sessions(user[:-1]) == [], "it is listed for one with the same start"


@pytest.mark.parametrize("name", WRONG, ids=["NUL", "surrogate", "513", "10 MB"])
async def test_a_lease_may_have_any_name(store: PostgresSessionStore, name: str) -> None:
    assert await store.acquire_lease(name, "a", 30) is True
    assert await store.acquire_lease(name, "b", 30) is False
    await store.release_lease(name, "a")
    assert await store.acquire_lease(name, "b", 30) is True
    await store.release_lease(name, "b")
