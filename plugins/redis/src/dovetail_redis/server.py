"""A Redis server or cluster: connected once, asked again while it is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from dovetail import NotReady, PluginError, SessionError
from dovetail_redis.checks import check, facts
from dovetail_redis.faults import ANY, explained, mended_there, passes
from dovetail_redis.scripts import ALL, LEASE, RELEASE, Command, Script
from dovetail_redis.settings import address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail_redis.settings import RedisSettings

PAUSES = (0.02, 0.5)
"""Seconds between attempts: first, doubled each time, and at most."""


class Server:
    """Sends commands. As they may be sent again, none may change anything twice."""

    def __init__(self, settings: RedisSettings) -> None:
        self.address = address(settings.url)
        self.cluster = False
        """Whether it is a cluster, where one script cannot use the keys of several sessions."""
        self._settings = settings
        self._client: Any = None  # the two clients have no common type
        self._gate = asyncio.Semaphore(settings.connections)

    async def open(self, probe: bytes) -> None:
        """Connect, and see that it can keep sessions: the key `probe` is written and removed.

        Raises:
            NotReady: it is not there now, or cannot be written now.
            PluginError: it refuses us, or is none that can keep sessions.
        """
        try:
            async with asyncio.timeout(self._settings.timeout * 2):
                await self._connect()
                calls = (LEASE.call([probe], b"start", 1000), RELEASE.call([probe], b"start"))
                await self._attempt(calls)
        except ANY as error:
            message = f"Redis at {self.address} cannot be used: {explained(error)}"
            raise (NotReady if mended_there(error) else PluginError)(message) from error
        except (TypeError, ValueError) as error:  # from what stands behind the `?`
            message = f"`url` of [sessions] cannot be used, see what is behind its `?`: {error}"
            raise PluginError(message) from error

    async def close(self) -> None:
        """Close every connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def run(self, script: Script, keys: Sequence[bytes], *arguments: bytes | int) -> Any:
        """What a script answers; see `send`."""
        (answer,) = await self.send([script.call(keys, *arguments)])
        return answer

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands, in one round trip; tried again while the server is away.

        Raises:
            SessionError: it was away too long, or refused one of them.
        """
        last: Exception | None = None
        pause = PAUSES[0]
        try:
            async with asyncio.timeout(self._settings.retry_for):
                while True:
                    try:
                        async with self._gate, asyncio.timeout(self._settings.timeout):
                            return await self._attempt(commands)
                    except ANY as error:
                        if not passes(error):
                            raise
                        last = error
                    await self._forget_idle()
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, PAUSES[1])
        except TimeoutError as error:
            why = explained(last or error)
            message = f"Redis at {self.address} was away for {self._settings.retry_for:g} s: {why}"
            raise SessionError(message) from (last or error)
        except ANY as error:
            message = f"Redis at {self.address} refused: {explained(error)}"
            raise SessionError(message) from error

    async def _attempt(self, commands: Sequence[Command]) -> list[Any]:
        if self._client is None:
            raise SessionError("the session store `redis` does not run")
        try:
            return await self._exchange(commands)
        except NoScriptError:  # it was started anew, or another took its place
            await self._load_scripts()
            return await self._exchange(commands)

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        if not commands:
            return []
        if len(commands) == 1:
            return [await self._client.execute_command(*commands[0])]
        # As a transaction it could not go to several nodes.
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _connect(self) -> None:
        url, limit = self._settings.url.get_secret_value(), self._settings.timeout
        options: dict[str, Any] = {
            "socket_connect_timeout": limit,
            # Ours is around each attempt. By redis-py's own Python 3.11 loses a cancellation that
            # comes while a command is written (`asyncio.wait_for`), and our limits are just that.
            "socket_timeout": None,
            "max_connections": self._settings.connections,
            "protocol": 2,  # what we ask has the same answers in 3, which takes longer to read
        }
        self._client = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)
        found = await facts(self._client)
        check(found, self.address)
        self.cluster = found.get("cluster_enabled") == 1
        if self.cluster:
            await self.close()
            self._client = RedisCluster.from_url(url, **options)
            await self._client.initialize()
        await self._load_scripts()

    async def _load_scripts(self) -> None:
        for script in ALL:
            await self._client.script_load(script.source)

    async def _forget_idle(self) -> None:
        """Close what is not in use: the server's name may lead to another one now."""
        if isinstance(self._client, Redis):
            await self._client.connection_pool.disconnect(inuse_connections=False)
