"""Sessions by name, by user and by their end.

An entry may outlive its session, which Redis drops by itself when its time is over: who finds no
session takes the entry away. No entry is missing for long, since whoever takes one away looks again
afterwards, and whoever creates a session lists it afterwards or in the same step.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from dovetail_redis.keys import Keys, decoded, encoded
from dovetail_redis.scripts import OWNER, SWEEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail_redis.scripts import Command
    from dovetail_redis.server import Server

PAGE = 500
"""Entries that are looked at in one round trip."""


class Index:
    """The three ways to find a session."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys

    async def add(self, session_id: str, user: bytes, expires: bytes | int) -> None:
        """List a session, or list it again by its end."""
        await self._server.send(self._adding(encoded(session_id), user, expires))

    async def page(self, user: bytes | None, after: str, limit: int) -> list[str]:
        """The next ids after `after`, by code point: a user's, or with None all."""
        key = self._keys.sessions if user is None else self._keys.user(user)
        start = b"(" + encoded(after) if after else b"-"
        command = ("ZRANGEBYLEX", key, start, "+", "LIMIT", 0, limit)
        (found,) = await self._server.send([command])
        return [decoded(name) for name in found]

    async def remove(self, user: bytes | None, session_ids: Sequence[str]) -> None:
        """Take entries away that have no session; with None for `user` only those by name."""
        names = [encoded(session_id) for session_id in session_ids]
        if not names:
            return
        commands: list[Command] = [("ZREM", self._keys.sessions, *names)]
        if user is not None:
            commands.append(("ZREM", self._keys.user(user), *names))
            commands.append(("ZREM", self._keys.ends, *(user + b"\n" + n for n in names)))
        await self._server.send(commands)
        await self._look_again(names)

    async def sweep(self) -> int:
        """Remove the sessions that are over and the entries that are due; how many sessions."""
        removed, now = 0, time_ns() // 1000
        due_by = ("ZRANGEBYSCORE", self._keys.ends, "-inf", now, "LIMIT", 0, PAGE)
        while True:
            (members,) = await self._server.send([due_by])
            due = [_entry(member) for member in members]
            calls = [SWEEP.call(self._keys.of(decoded(name)), user) for user, name in due]
            answers = await self._server.send(calls)
            later: list[Command] = []
            gone: dict[bytes, list[str]] = {}
            for (user, name), answer in zip(due, answers, strict=True):
                if answer in (b"gone", b"over"):
                    gone.setdefault(user, []).append(decoded(name))
                else:
                    later.append(self._ending(name, user, answer, now + 1))
            await self._server.send(later)
            for user, session_ids in gone.items():
                await self.remove(user, session_ids)
            removed += answers.count(b"over")
            if len(members) < PAGE:
                return removed

    async def _look_again(self, names: Sequence[bytes]) -> None:
        """List those that were created while their entries were taken away."""
        calls = [OWNER.call(self._keys.of(decoded(name))) for name in names]
        again: list[Command] = []
        for name, (user, expires) in zip(names, await self._server.send(calls), strict=True):
            if user is not None:
                again += self._adding(name, user, expires or b"")
        await self._server.send(again)

    def _adding(self, name: bytes, user: bytes, expires: bytes | int) -> list[Command]:
        return [
            ("ZADD", self._keys.sessions, 0, name),
            ("ZADD", self._keys.user(user), 0, name),
            self._ending(name, user, expires),
        ]

    def _ending(self, name: bytes, user: bytes, expires: bytes | int, least: int = 0) -> Command:
        known = str(expires, "ascii", "replace") if isinstance(expires, bytes) else str(expires)
        score = max(int(known), least) if known.lstrip("-").isdecimal() else "+inf"
        return ("ZADD", self._keys.ends, score, user + b"\n" + name)


def _entry(member: bytes) -> tuple[bytes, bytes]:
    user, _, name = member.partition(b"\n")
    return user, name
