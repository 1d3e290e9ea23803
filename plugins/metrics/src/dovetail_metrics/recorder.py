"""From events to numbers. What an event's data holds is said in the kernel's table of events."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from dovetail_metrics import families
from dovetail_metrics.prices import Prices, cost
from dovetail_metrics.series import Known, Labels, Series

if TYPE_CHECKING:
    from dovetail import ProviderRegistry
    from dovetail_metrics.client import MetricsClient
    from dovetail_metrics.families import Family
    from dovetail_metrics.settings import MetricsSettings

Data: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[Data], object]

OPERATIONS = {"embed": "embeddings"}
"""What the conventions call what the kernel calls otherwise."""
MOST_TURNS = 10_000
"""Turns in flight that are remembered; the oldest are forgotten, should their ends never come."""


class Recorder:
    """Records events in the series of a client, and in lists of recent numbers.

    `handlers` says what records the data of an event, by the event's name. One raises if the data
    makes no sense, and may have recorded a part of it by then.
    """

    def __init__(self, client: "MetricsClient", settings: "MetricsSettings") -> None:
        self.client = client
        self.recent: dict[str, list[float]] = {}
        """The latest numbers of each kind, oldest first."""
        self.registry: ProviderRegistry | None = None
        """Whose queues are looked at."""
        self._labels = Labels(settings.max_label_values)
        self._turns: dict[int, None] = {}
        """The turns in flight, by hashes of their runs: an id may be of any length."""
        client.watch(families.TURNS_ACTIVE, lambda: {(): len(self._turns)})
        client.watch(families.QUEUE_DEPTH, self._depths)
        self._uncounted = self._series(families.EVENTS_UNCOUNTED, "events_uncounted")
        self.handlers: dict[str, Handler] = {
            **self._of_turns(),
            **self._of_calls(Prices(settings.prices), settings.currency),
            **self._of_tools(),
            **self._of_sessions(),
            **self._of_plugins(),
            **self._of_events(),
        }

    def uncounted(self, event: str) -> None:
        """Count an event whose data made no sense."""
        self._uncounted[event,](1)

    def _depths(self) -> dict[tuple[str, ...], float]:
        """How many events wait, by their provider."""
        depths: dict[tuple[str, ...], float] = {}
        for item in self.registry.registrations() if self.registry is not None else ():
            if item.mailbox is not None:
                key = (self._labels.admit("provider", item.name),)
                depths[key] = depths.get(key, 0) + len(item.mailbox)
        return depths

    def _series(self, family: "Family", recent: str) -> Known:
        """What records in the series of a family, by their labels."""
        numbers = self.recent.setdefault(recent, [])
        return Known(Series(family, self.client, self._labels, numbers))

    def _of_turns(self) -> dict[str, Handler]:
        turns, durations = self._turns, self._series(families.TURN_DURATION, "turn_duration")

        def began(data: Data) -> None:
            run = data.get("run_id")
            if run is not None:
                if len(turns) >= MOST_TURNS:
                    del turns[next(iter(turns))]
                turns[hash(run)] = None

        def ended(data: Data) -> None:
            get = data.get
            turns.pop(hash(get("run_id")), None)
            durations[get("finish_reason"), get("error")](data["seconds"])

        return {"agent_start": began, "agent_complete": ended}

    def _of_calls(self, prices: Prices, currency: str) -> dict[str, Handler]:
        durations = self._series(families.CALL_DURATION, "call_duration")
        first_chunks = self._series(families.FIRST_CHUNK, "time_to_first_chunk")
        prompts = self._series(families.TOKEN_USAGE, "input_tokens")
        completions = self._series(families.TOKEN_USAGE, "output_tokens")
        costs = self._series(families.COST, "cost")

        def ended(data: Data) -> None:
            get, operation, model = data.get, data["operation"], data["model"]
            error = get("error")
            key = (
                OPERATIONS.get(operation, operation),
                data["provider"],
                get("request_model") or model,
                None if error else model,
                error,
            )
            durations[key](data["seconds"])
            first, usage = get("first_chunk_seconds"), get("usage")
            if first is not None:
                first_chunks[key[:4]](first)
            if usage:
                used(key[:4], model, usage)

        def used(call: tuple[Any, ...], model: str, usage: Data) -> None:
            read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
            if read is not None:
                prompts[*call, "input"](read)
            if written is not None:
                completions[*call, "output"](written)
            _, provider, asked, _ = call
            price = prices.find(provider, model, asked)
            if price is not None:
                cached = usage.get("cached_tokens") or 0
                spent = cost(price, read or 0, written or 0, cached)
                costs[currency, provider, model](spent)

        return {"model_complete": ended}

    def _of_tools(self) -> dict[str, Handler]:
        tools = self._series(families.TOOL_DURATION, "tool_duration")
        stages = self._series(families.STAGE_DURATION, "stage_duration")

        def used(data: Data) -> None:
            tools[data.get("tool"), data.get("error")](_seconds(data))

        def staged(data: Data) -> None:
            stages[data.get("stage"), data.get("error")](_seconds(data))

        return {"tool_execute": used, "stage_complete": staged}

    def _of_sessions(self) -> dict[str, Handler]:
        happened = self._series(families.SESSION_EVENTS, "session_events")
        # Made now: from a series that begins with 1 nobody could see that it has grown.
        created, deleted, busy = (happened[word,] for word in ("created", "deleted", "busy"))
        expired = happened["expired",]
        return {
            "session_created": lambda _: created(1),
            "session_deleted": lambda _: deleted(1),
            "session_expired": lambda data: expired(data["count"]),
            "session_busy": lambda _: busy(1),
        }

    def _of_plugins(self) -> dict[str, Handler]:
        started = self._series(families.PLUGINS_STARTED, "plugins_started")
        stopped = self._series(families.PLUGINS_STOPPED, "plugins_stopped")
        failed = self._series(families.PLUGINS_FAILED, "plugins_failed")
        reloads = self._series(families.RELOADS, "config_reloads")[()]

        def fell(data: Data) -> None:
            get = data.get
            failed[get("plugin"), get("table"), get("stage"), get("error")](1)

        return {
            "plugin_started": lambda data: started[data.get("plugin"), data.get("table")](1),
            "plugin_stopped": lambda data: stopped[data.get("plugin"), data.get("table")](1),
            "plugin_failed": fell,
            "config_reloaded": lambda _: reloads(1),
        }

    def _of_events(self) -> dict[str, Handler]:
        failed = self._series(families.EVENTS_FAILED, "events_failed")
        dropped = self._series(families.EVENTS_DROPPED, "events_dropped")
        return {
            "event_failed": lambda data: failed[data.get("provider"), data.get("error")](1),
            "event_dropped": lambda data: dropped[data.get("provider"),](data["count"]),
        }


def _seconds(data: Data) -> float:
    """How long it took: `seconds`, or `duration`, which is in seconds too."""
    seconds: float = data["duration"] if data.get("seconds") is None else data["seconds"]
    return seconds
