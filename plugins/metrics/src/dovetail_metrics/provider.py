"""The event provider: every event becomes numbers, and these a page."""

from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

import structlog

from dovetail import EventProvider, PluginError, ProviderRegistry
from dovetail_metrics.client import MetricsClient, NoClient, PrometheusClient
from dovetail_metrics.recorder import Recorder
from dovetail_metrics.server import PageServer
from dovetail_metrics.settings import MetricsSettings

log = structlog.get_logger("dovetail.metrics")

QUIET_SECONDS = 60.0
"""How long nothing is logged after an event that could not be counted."""


class MetricsProvider(EventProvider):
    """Counts and measures what the kernel tells of, and serves it to Prometheus.

    A host may use it by itself: `client` is the `MetricsClient` that keeps the numbers, by default
    a `PrometheusClient` with a registry of its own.
    """

    name = "metrics"
    exclusive = True  # two cannot listen at one port, and a reload shall not begin its numbers anew
    settings: MetricsSettings
    events = (
        "agent_start",
        "agent_complete",
        "model_complete",
        "tool_execute",
        "stage_complete",
        "session_created",
        "session_deleted",
        "session_expired",
        "session_busy",
        "plugin_started",
        "plugin_stopped",
        "plugin_failed",
        "config_reloaded",
        "event_failed",
        "event_dropped",
    )

    def __init__(self, client: object = None, settings: MetricsSettings | None = None) -> None:
        self.settings = MetricsSettings() if settings is None else settings
        self._given = client
        self._recorder: Recorder | None = None
        self._server: PageServer | None = None
        self._unlogged = 0
        self._quiet_until = 0.0
        if client is None:
            # The host makes components in a thread, where an import stops nobody.
            import prometheus_client  # noqa: F401

    @property
    def metrics(self) -> Mapping[str, list[float]]:
        """The latest thousand numbers of each kind, oldest first: seconds, tokens, counts."""
        return self._opened().recent

    @property
    def url(self) -> str:
        """Where the page is served; empty if nothing listens."""
        return "" if self._server is None else self._server.url

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type, for a host's own route; `accept` is the request's header.

        It may be called in any thread: with thousands of series it takes a while.

        Raises:
            PluginError: the client that was given makes no page.
        """
        client = self._opened().client
        if not isinstance(client, PrometheusClient):
            raise PluginError(
                f"`{type(client).__name__}`, the metrics client, makes no page; give "
                "`MetricsProvider` a `PrometheusClient`, or leave `port` out"
            )
        return client.page(accept)

    def watch_queues(self, registry: ProviderRegistry) -> None:
        """Show on the page how many events wait for the providers of this registry."""
        self._opened().registry = registry

    async def initialize(self) -> None:
        """Make ready to count, and serve the page if its settings say where.

        Raises:
            NotReady: it cannot listen there.
            PluginError: the registry has such metrics already, or the client makes no page.
        """
        self._opened()
        if self.settings.port is None:
            return
        self.page()
        self._server = PageServer(self.settings.host, self.settings.port, self.page)
        await self._server.start()
        log.info("serving metrics", provider=self.instance or self.name, url=self.url)

    async def stop(self) -> None:
        """Serve the page no more; what was counted can still be read."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()
        client = self._recorder.client if self._recorder is not None else None
        shared = self._given is None and self.settings.registry == "process"
        if shared and isinstance(client, PrometheusClient):
            client.close()

    async def handle_event(self, event: str, data: Any) -> None:
        """Count it. What cannot be counted is counted as that; nothing is raised."""
        handler = (self._recorder or self._opened()).handlers.get(event)
        if handler is None:
            return
        try:
            handler(data)
        except Exception as error:  # noqa: BLE001 - any host may publish anything by these names
            self._uncounted(event, error)

    def _opened(self) -> Recorder:
        """What records, made when it is first needed: settings come after the constructor."""
        if self._recorder is None:
            self._recorder = Recorder(self._client(), self.settings)
        return self._recorder

    def _client(self) -> MetricsClient:
        if isinstance(self._given, MetricsClient):
            return self._given
        if self._given is not None:
            # A stand-in of a test, say. The numbers are in `metrics` nevertheless.
            log.warning("the metrics client takes no numbers", client=type(self._given).__name__)
            return NoClient()
        if self.settings.registry == "own":
            return PrometheusClient()
        from prometheus_client import REGISTRY

        return PrometheusClient(REGISTRY)

    def _uncounted(self, event: str, error: Exception) -> None:
        self._unlogged += 1
        if monotonic() >= self._quiet_until:
            # Not what the error says: it may quote the data.
            log.warning(
                "events could not be counted",
                provider=self.instance or self.name,
                count=self._unlogged,
                latest=event,
                error=type(error).__name__,
            )
            self._unlogged, self._quiet_until = 0, monotonic() + QUIET_SECONDS
        with suppress(Exception):  # a client that broke may be why we are here
            self._opened().uncounted(event)
