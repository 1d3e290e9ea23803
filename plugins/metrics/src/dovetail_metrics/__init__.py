"""Prometheus metrics of turns, models, tools and sessions, for dovetail.

A host may use `MetricsProvider` by itself; whoever wants the numbers elsewhere brings a
`MetricsClient`.
"""

from dovetail import EventProvider, hookimpl
from dovetail_metrics.client import MetricsClient as MetricsClient
from dovetail_metrics.client import PrometheusClient as PrometheusClient
from dovetail_metrics.families import FAMILIES as FAMILIES
from dovetail_metrics.families import Family as Family
from dovetail_metrics.provider import MetricsProvider as MetricsProvider
from dovetail_metrics.settings import MetricsSettings as MetricsSettings
from dovetail_metrics.settings import Price as Price

__version__ = "0.1.0"


@hookimpl
def providers() -> list[type[EventProvider]]:
    """The one event provider of this plugin."""
    return [MetricsProvider]
