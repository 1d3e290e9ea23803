"""What is measured: the name, meaning, labels and buckets of each family of series.

Names, labels and buckets that begin with `gen_ai` are those of OpenTelemetry's "Semantic
conventions for generative AI metrics", spelled as its "Prometheus and OpenMetrics Compatibility"
says: dots are underscores, seconds are appended, a unit in braces is not.
"""

from dataclasses import dataclass
from typing import Literal

DURATIONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TURN_DURATIONS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
"""What the conventions give for an agent's invocation, which may hold many calls."""
TOKENS = tuple(4**power for power in range(14))

CALL = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric, and the labels by which its series differ."""

    name: str
    """As on the page, without what Prometheus appends for its kind."""
    help: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


CALL_DURATION = Family(
    "gen_ai_client_operation_duration_seconds",
    "How long calls of models took; its count is the number of calls.",
    "histogram",
    (*CALL, "error_type"),
    DURATIONS,
)
FIRST_CHUNK = Family(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "How long streamed answers took to begin.",
    "histogram",
    CALL,
    DURATIONS,
)
TOKEN_USAGE = Family(
    "gen_ai_client_token_usage",
    "Tokens that calls of models took, where the provider says so.",
    "histogram",
    (*CALL, "gen_ai_token_type"),
    TOKENS,
)
TOOL_DURATION = Family(
    "gen_ai_execute_tool_duration_seconds",
    "How long calls of tools took.",
    "histogram",
    ("gen_ai_tool_name", "error_type"),
    DURATIONS,
)
COST = Family(
    "dovetail_cost",
    "What calls of models cost by the price table.",
    "counter",
    ("currency", "gen_ai_provider_name", "gen_ai_response_model"),
)
TURN_DURATION = Family(
    "dovetail_turn_duration_seconds",
    "How long turns took, waiting for their session included.",
    "histogram",
    ("finish_reason", "error_type"),
    TURN_DURATIONS,
)
TURNS_ACTIVE = Family("dovetail_turns_active", "Turns that have begun and not ended.", "gauge")
STAGE_DURATION = Family(
    "dovetail_stage_duration_seconds",
    "How long stages of turns took.",
    "histogram",
    ("stage", "error_type"),
    DURATIONS,
)
SESSION_EVENTS = Family(
    "dovetail_session_events",
    "Sessions that were created, deleted, or expired; turns refused because theirs was busy.",
    "counter",
    ("event",),
)
PLUGINS_STARTED = Family(
    "dovetail_plugins_started", "Components that have started.", "counter", ("plugin", "table")
)
PLUGINS_STOPPED = Family(
    "dovetail_plugins_stopped", "Components that have stopped.", "counter", ("plugin", "table")
)
PLUGINS_FAILED = Family(
    "dovetail_plugins_failed",
    "Components that failed, and that the kernel goes on without.",
    "counter",
    ("plugin", "table", "stage", "error_type"),
)
RELOADS = Family("dovetail_config_reloads", "How often the config was read again.", "counter")
EVENTS_FAILED = Family(
    "dovetail_events_failed",
    "Events whose provider raised or took too long.",
    "counter",
    ("provider", "error_type"),
)
EVENTS_DROPPED = Family(
    "dovetail_events_dropped",
    "Events that were dropped because the queue of their provider was full.",
    "counter",
    ("provider",),
)
EVENTS_UNCOUNTED = Family(
    "dovetail_events_uncounted",
    "Events that are missing here: their data was not what it should be.",
    "counter",
    ("event",),
)
QUEUE_DEPTH = Family(
    "dovetail_event_queue_depth",
    "Events that wait in the queues of their providers.",
    "gauge",
    ("provider",),
)

FAMILIES = (
    TURN_DURATION,
    TURNS_ACTIVE,
    CALL_DURATION,
    FIRST_CHUNK,
    TOKEN_USAGE,
    COST,
    TOOL_DURATION,
    STAGE_DURATION,
    SESSION_EVENTS,
    PLUGINS_STARTED,
    PLUGINS_STOPPED,
    PLUGINS_FAILED,
    RELOADS,
    EVENTS_FAILED,
    EVENTS_DROPPED,
    EVENTS_UNCOUNTED,
    QUEUE_DEPTH,
)
"""All of them, in the order of the page."""
