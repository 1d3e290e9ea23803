"""Who keeps the numbers: a registry of the Prometheus client, or what else a host brings."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from dovetail import PluginError
from dovetail_metrics.accumulators import Count, Distribution
from dovetail_metrics.families import FAMILIES, Family

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

Record: TypeAlias = Callable[[float], object]
Read: TypeAlias = Callable[[], Mapping[tuple[str, ...], float]]


@runtime_checkable
class MetricsClient(Protocol):
    """What `MetricsProvider` tells its numbers."""

    def recorder(self, family: Family, labels: tuple[str, ...]) -> Record:
        """What takes the numbers of one series: of a counter what to add, else a measurement.

        `labels` are the values of the family's labels, in their order; empty ones are not known.
        Called once for each series.
        """

    def watch(self, family: Family, read: Read) -> None:
        """From now on the series of a gauge, by the values of their labels, are what `read` gives.

        It may be called in any thread.
        """


class NoClient:
    """Keeps nothing: the numbers are in `MetricsProvider.metrics` alone."""

    def recorder(self, family: Family, labels: tuple[str, ...]) -> Record:
        """What forgets every number."""
        return lambda _: None

    def watch(self, family: Family, read: Read) -> None:
        """Never look."""


class PrometheusClient:
    """A collector of the Prometheus client: keeps the numbers, and makes a page of its registry.

    The registry is one of its own unless given, so that several in one process do not meet.

    Raises:
        PluginError: the registry has metrics of these names already.
    """

    def __init__(self, registry: "CollectorRegistry | None" = None) -> None:
        # Imported here: it brings the standard library's web servers with it.
        from prometheus_client import CollectorRegistry

        self.registry = CollectorRegistry() if registry is None else registry
        self._counts: dict[Family, dict[tuple[str, ...], Count]] = {}
        self._distributions: dict[Family, dict[tuple[str, ...], Distribution]] = {}
        self._gauges: dict[Family, Read] = {}
        self._registered = False
        try:
            self.registry.register(self)
        except ValueError as error:
            raise PluginError(
                "the registry has metrics of these names already; it takes one `metrics`: give "
                "each another, or leave `registry` out of its table"
            ) from error
        self._registered = True

    def recorder(self, family: Family, labels: tuple[str, ...]) -> Record:
        """What adds to a series; see `MetricsClient`."""
        if family.kind == "counter":
            return self._counts.setdefault(family, {}).setdefault(labels, Count()).add
        made = Distribution(family.buckets)
        return self._distributions.setdefault(family, {}).setdefault(labels, made).add

    def watch(self, family: Family, read: Read) -> None:
        """Read a gauge whenever the page is made; see `MetricsClient`."""
        self._gauges[family] = read

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """What Prometheus reads, and its content type; `accept` is the request's header.

        It may be called in any thread: with thousands of series it takes a while.
        """
        from prometheus_client.exposition import choose_encoder

        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # it stumbles over versions that are no numbers
            encode, content_type = choose_encoder("")
        return encode(self.registry), content_type

    def close(self) -> None:
        """Leave the registry."""
        if self._registered:
            self._registered = False
            self.registry.unregister(self)

    def describe(self) -> "Iterator[Metric]":
        """Every family, for the registry to see whether it has one of the name."""
        from prometheus_client import Metric

        for family in FAMILIES:
            yield Metric(family.name, family.help, family.kind)

    def collect(self) -> "Iterator[Metric]":
        """Every family with its series, for the page."""
        from prometheus_client import Metric

        for family in FAMILIES:
            metric = Metric(family.name, family.help, family.kind)
            if family in self._gauges:
                for values, number in self._gauges[family]().items():
                    metric.add_sample(family.name, _labels(family, values), number)
            for values, count in list(self._counts.get(family, {}).items()):
                metric.add_sample(f"{family.name}_total", _labels(family, values), count.total)
            bounds = [*map(repr, map(float, family.buckets)), "+Inf"]
            for values, found in list(self._distributions.get(family, {}).items()):
                labels, counts = _labels(family, values), found.cumulative()
                for bound, number in zip(bounds, counts, strict=True):
                    metric.add_sample(f"{family.name}_bucket", {**labels, "le": bound}, number)
                metric.add_sample(f"{family.name}_count", labels, counts[-1])
                metric.add_sample(f"{family.name}_sum", labels, found.total)
            yield metric


def _labels(family: Family, values: tuple[str, ...]) -> dict[str, str]:
    """A series' labels; those whose value is not known are left out."""
    return {name: value for name, value in zip(family.labels, values, strict=True) if value}
