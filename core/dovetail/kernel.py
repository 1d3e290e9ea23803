"""The kernel: what a host application opens and calls."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from dovetail.chat.asking import (
    as_context,
    as_embedding_request,
    as_request,
    check_ids,
    free_session,
)
from dovetail.chat.calls import Calls, in_context
from dovetail.chat.runs import ChatSessionManager, current_run
from dovetail.chat.stream import ChatStream
from dovetail.chat.turns import TurnTask
from dovetail.config import read_config
from dovetail.errors import DovetailError, KernelClosed
from dovetail.host.dependencies import container_of
from dovetail.host.discovery import API, discover
from dovetail.host.host import Host, Reload
from dovetail.host.records import PluginRecord
from dovetail.services.factory import ServiceFactory
from dovetail.services.registry import ServiceRegistry
from dovetail.sessions.manager import SessionManager
from dovetail.sync import SyncKernel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from dovetail.chat.asking import Prompt
    from dovetail.chat.requests import ChatRequest, EmbeddingRequest
    from dovetail.chat.responses import ChatResponse, EmbeddingResponse, ModelInfo
    from dovetail.chat.runs import Run
    from dovetail.chat.window import Window
    from dovetail.config import RawConfig
    from dovetail.context import ExecutionContext
    from dovetail.events.bus import EventBus
    from dovetail.events.event import Event
    from dovetail.host.generation import Generation
    from dovetail.host.records import Failure

    Source = str | Path | Mapping[str, object] | None

P = TypeVar("P")

log = structlog.get_logger("dovetail")

START_LIMIT = 10.0
"""Seconds for cleaning up after a start that failed, whose config may be what was wrong."""


class Kernel:
    """Hosts plugins and holds conversations.

    ::

        async with Kernel.open("dovetail.toml") as kernel:
            print((await kernel.chat("What is a dovetail joint?")).text)

    It belongs to the event loop it was opened on.
    """

    def __init__(
        self,
        source: Source = None,
        *,
        overrides: Mapping[str | tuple[str, ...], object] | None = None,
        env: Mapping[str, str] | None = None,
        user_file: Path | None = None,
        discover_installed: bool = True,
    ) -> None:
        self._source = source
        self._overrides = dict(overrides or {})
        self._env = env
        self._user_file = user_file
        self._discover = discover_installed
        self._registered: dict[str, PluginRecord] = {}
        self._opened = False
        self._host: Host | None = None
        self._sessions: SessionManager | None = None
        self._cleanup: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[list[Failure]] | None = None
        self.runs = ChatSessionManager()
        """The turns in flight: `cancel_session`, `get_session_status`, …"""
        self._calls = Calls(self.runs)
        self.services = ServiceRegistry()
        """Services by name: register yours here; those of plugins are there while it is open."""
        self.container = container_of(self)
        """Dependencies: register yours here, resolve those of plugins and of the kernel."""
        self.service_factory = ServiceFactory(self.services)
        """Services for a context."""

    @classmethod
    def open(
        cls,
        source: Source = None,
        *,
        overrides: Mapping[str | tuple[str, ...], object] | None = None,
        env: Mapping[str, str] | None = None,
        user_file: Path | None = None,
        discover_installed: bool = True,
    ) -> Kernel:
        """A kernel for `async with`; nothing is read or started before it is entered.

        `source` is the project's config file; None looks for `dovetail.toml` here and above; a
        mapping stands in place of all files. `overrides` maps dotted keys to values and wins over
        everything. `env` stands in place of the environment, `user_file` in place of the user's
        own config file. Without `discover_installed` only what `register` was given exists.
        """
        return cls(
            source,
            overrides=overrides,
            env=env,
            user_file=user_file,
            discover_installed=discover_installed,
        )

    @staticmethod
    def sync(source: Source = None, **options: Any) -> SyncKernel:
        """The same for scripts and notebooks, without `await`; options as `open` has them."""
        return SyncKernel(lambda: Kernel(source, **options))

    def register(self, plugin_id: str, plugin: object, *, version: str = "") -> Self:
        """Bring a plugin by hand, for a frozen or embedding application; before the start.

        `plugin` is a module or object with hooks. It takes the place of an installed one of that
        id. Returns the kernel.
        """
        if self._opened:
            raise KernelClosed("plugins are registered before the kernel is opened")
        self._registered[plugin_id] = PluginRecord(
            plugin_id, getattr(plugin, "__name__", repr(plugin)), "", version, API, plugin
        )
        return self

    async def start(self) -> Self:
        """Read the config and start what it names; `async with` does this.

        Raises:
            ConfigNotFound: there is no config file.
            ConfigError: it is wrong; all mistakes at once.
            StartError: plugins broke that it needs; all failures at once.
        """
        if self._opened:
            raise KernelClosed("this kernel was opened before; open another")
        raw = self._read()
        self._opened = True
        known = {**discover(installed=self._discover), **self._registered}
        self._host = host = Host(known, self.container, self.services)
        try:
            await host.open(raw)
        except BaseException:
            self._host = None
            await self._empty_container(START_LIMIT)
            raise
        host.generation.kernel.limit(self.runs)
        self._sessions = SessionManager(host.store, host.generation.sessions, publish=host.tell)
        self._cleanup = asyncio.create_task(self._sessions.clean_up_regularly())
        return self

    async def close(self) -> list[Failure]:
        """Cancel what is in flight, keep what came of it, stop every component in reverse.

        Gives the components that failed to stop. It goes on to its end if the caller is cancelled;
        each step has its limit. A second call waits for the first.
        """
        if self._closing is None and self._host is not None:
            self._closing = asyncio.create_task(self._close(self._host))
        if self._closing is None:
            return []
        try:
            return await asyncio.shield(self._closing)
        except asyncio.CancelledError:
            await asyncio.wait([self._closing])
            raise

    async def _close(self, host: Host) -> list[Failure]:
        if self._cleanup is not None:
            self._cleanup.cancel()
        ending = [*filter(None, [self._cleanup]), *self._calls.cancel()]
        if ending:  # one that swallows cancellation is left behind
            await asyncio.wait(ending, timeout=self.runs.cancel_grace)
        await self.runs.close(patience=host.generation.reading.pipeline.stage_timeout)
        if self._sessions is not None:
            await self._sessions.close()
        await host.drain_events()  # who is told may need what the kernel has
        if host.bus is not None:
            await host.bus.stop()
        await self._empty_container(host.generation.kernel.stop_timeout)
        failures = await host.close()
        self._host = None
        return failures

    async def _empty_container(self, limit: float) -> None:
        try:
            async with asyncio.timeout(limit):
                await self.container.aclose()
        except (DovetailError, TimeoutError):
            log.exception("not everything in the container could be cleaned up")

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def reload(self) -> Reload:
        """Read the config again and swap in what changed; running turns finish on the old one.

        Raises:
            StartError: the new config cannot be used; nothing has changed.
        """
        host = self._open_host()
        raw = self._read()
        for plugin_id, record in discover(installed=self._discover).items():
            host.records.setdefault(plugin_id, record)
        report = await host.reload(raw)
        host.generation.kernel.limit(self.runs)
        return report

    async def chat(
        self,
        prompt: Prompt,
        *,
        model: str = "",
        persona: str = "",
        session: str | None = None,
        user: str | None = None,
        context: ExecutionContext | None = None,
    ) -> ChatResponse:
        """The whole answer to `prompt`: a text, a message, several, or a `ChatRequest`.

        `model` is `instance/model`, and `persona` who answers; both win over the request's and the
        config's. `session` names the conversation to go on with, `user` whose it is; without a
        session nothing is kept.
        If it is cancelled by `cancel_session`, what had come is returned with the finish reason
        `cancelled`; if the caller is cancelled, the turn is too, and is kept before this returns.

        Raises:
            ProviderError: the model call failed; `error.response` is what had come.
            SessionError: the session is busy or another user's.
        """
        run, turn, task = self._begin(
            as_request(prompt, model, persona), session, user, context, None
        )
        try:
            await run.wait()
        except asyncio.CancelledError:
            if not run.answered:  # stages that follow the answer go on without the caller
                run.cancel()
                await run.wait()
            raise
        return turn.outcome(task)

    def stream(
        self,
        prompt: Prompt,
        *,
        model: str = "",
        persona: str = "",
        session: str | None = None,
        user: str | None = None,
        context: ExecutionContext | None = None,
    ) -> ChatStream:
        """The same as `chat`, for `async with`; iterate over it for the chunks."""
        self._open_host()
        request = as_request(prompt, model, persona)

        def begin(window: Window) -> tuple[Run, TurnTask, asyncio.Task[ChatResponse]]:
            return self._begin(request, session, user, context, window)

        return ChatStream(begin)

    async def embed(
        self,
        texts: str | Sequence[str] | EmbeddingRequest,
        *,
        model: str = "",
        context: ExecutionContext | None = None,
    ) -> EmbeddingResponse:
        """A vector for each text, in order; `model` is `instance/model`.

        Raises:
            ProviderError: the call failed.
        """
        generation = self._open_host().generation
        own = as_context(context, None, None)
        work = partial(generation.embed, as_embedding_request(texts), model, own)
        container = None if own is context else self.container
        return await self._calls.run(generation, in_context(own, work, container))

    async def models(self) -> list[ModelInfo]:
        """The models of every instance, as `instance/model`.

        An instance that cannot be asked now is left out, and logged.
        """
        generation = self._open_host().generation
        return await self._calls.run(generation, generation.models())

    async def publish(
        self,
        event: str | Event,
        data: Any = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell the event providers that asked for `event`, a name or an `Event`.

        A provider that fails harms neither the caller nor the others.
        """
        await self._open_host().generation.events.dispatch(event, data, metadata=metadata)

    @property
    def sessions(self) -> SessionManager:
        """The sessions: find, make, delete."""
        return self._there(self._sessions)

    @property
    def bus(self) -> EventBus:
        """The event bus: publish events to topics, subscribe to them in groups."""
        return self._there(self._there(self._host).bus)

    @property
    def generation(self) -> Generation:
        """What runs now."""
        return self._there(self._host).generation

    @property
    def plugins(self) -> dict[str, PluginRecord]:
        """Every plugin the kernel knows, by id."""
        return self._open_host().records

    @property
    def quarantined(self) -> tuple[Failure, ...]:
        """The components that are out of order now: optional ones, and those that broke."""
        return self._open_host().generation.quarantined

    def collect(self, hook: str, **arguments: object) -> list[tuple[str, Any]]:
        """What each loaded plugin answers to a hook that a plugin declared, with its id.

        Raises:
            PluginError: no loaded plugin declares it, or one failed to answer.
        """
        return self._open_host().loader.collect(hook, **arguments)

    def _begin(
        self,
        request: ChatRequest,
        session: str | None,
        user: str | None,
        context: ExecutionContext | None,
        window: Window | None,
    ) -> tuple[Run, TurnTask, asyncio.Task[ChatResponse]]:
        host = self._open_host()
        outer = current_run.get()
        session = free_session(session, context, outer)
        given, context = context, as_context(context, session, user)
        check_ids(session, context.user_id)
        generation = host.generation
        run = self.runs.register_session(session_id=session, user_id=context.user_id)
        own = None if context is given else self.container
        turn = TurnTask(generation, self.sessions, run, request, context, window, own)
        run.parent = outer
        run.on_stuck, run.on_done, run.on_lost = turn.salvage, generation.leave, turn.let_go
        if window is not None:
            run.on_end = window.close
        generation.enter()
        task = asyncio.get_running_loop().create_task(turn.drive())
        run.attach(task)
        return run, turn, task

    def _open_host(self) -> Host:
        return self._there(self._host if self._closing is None else None)

    def _there(self, part: P | None) -> P:
        """It, while the kernel is open, and while it closes: what ends may need it."""
        if self._host is None or part is None:
            raise KernelClosed(_CLOSED)
        return part

    def _read(self) -> RawConfig:
        env = os.environ if self._env is None else self._env
        return read_config(
            self._source, overrides=self._overrides, env=env, user_file=self._user_file
        )


_CLOSED = "the kernel is not open: use `async with Kernel.open(...) as kernel:`"
