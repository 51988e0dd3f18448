"""The answer of `/metrics`: the measurements of a server, and of the other workers beside it, as Prometheus' text.

prometheus-client writes the text. It is imported with the first answer: most servers are never asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from posthouse.core.values.stats import Durations, Measurements

from .names import PREFIX, named

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

INFINITE: Final = "+Inf"


class Exposition:
    """Makes the text. `about`: the version and the start of the server. A worker has a `place`, and `others` are what
    the other workers have told last, by their places: then each sample has the label `worker`."""

    def __init__(self, about: Mapping[str, str | float]) -> None:
        self._about: Final = about
        self.place: int | None = None
        self.others: dict[int, Measurements] = {}

    def __call__(self, measured: Measurements) -> bytes:
        """The whole text."""
        from prometheus_client.exposition import generate_latest

        return generate_latest(_Families(self._families(measured)))

    def _families(self, measured: Measurements) -> Iterator[Metric]:
        told: list[tuple[dict[str, str], Measurements]] = [({}, measured)]
        if self.place is not None:
            workers = {**self.others, self.place: measured}
            told = [({"worker": str(place)}, each) for place, each in sorted(workers.items())]
        yield from _about(self._about)
        yield from _counters(told)
        yield from _histograms(told, "call_seconds", "method", "The time of calls, from request to outcome", "calls")
        text = "The time of requests to the store, of authenticators and of hashes"
        yield from _histograms(told, "operation_seconds", "kind", text, "operations")
        yield from _levels(told)


class _Families:
    """A collector, as `generate_latest` takes it."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families: Final = families

    def collect(self) -> Iterable[Metric]:
        """All families."""
        return self._families


Told = list[tuple[dict[str, str], Measurements]]


def _about(about: Mapping[str, str | float]) -> Iterator[Metric]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    build = GaugeMetricFamily(f"{PREFIX}build_info", "The version of Posthouse", labels=["version"])
    build.add_metric([str(about["version"])], 1)
    yield build
    yield GaugeMetricFamily(f"{PREFIX}start_time_seconds", "When the server started", value=float(about["started_at"]))


def _counters(told: Told) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    families: dict[str, Any] = {}
    for labels, measured in told:
        for name, number in measured.counters.items():
            family = named(name)
            if family is None:
                continue
            given = {family.label: family.value, **labels} if family.label else labels
            metric = families.get(family.metric)
            if metric is None:
                kind = GaugeMetricFamily if family.kind == "gauge" else CounterMetricFamily
                metric = families[family.metric] = kind(PREFIX + family.metric, family.help, labels=list(given))
            metric.add_metric(list(given.values()), number)
    yield from families.values()


def _histograms(told: Told, metric: str, what: str, text: str, member: str) -> Iterator[Metric]:
    from prometheus_client.metrics_core import HistogramMetricFamily

    names = [what, "outcome", *told[0][0]]
    family = HistogramMetricFamily(PREFIX + metric, text, labels=names)
    for labels, measured in told:
        rows: list[tuple[str, str, Durations]] = getattr(measured, member)
        ends = [*map(str, measured.bounds), INFINITE]
        for one, outcome, durations in rows:
            buckets = list(zip(ends, accumulate(durations.counts), strict=True))
            family.add_metric([one, outcome.lower(), *labels.values()], buckets, durations.seconds)
    yield family


def _levels(told: Told) -> Iterator[Metric]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    names = ["limit", *told[0][0]]
    highest = GaugeMetricFamily(f"{PREFIX}limit_highest", "The highest level that a limit has seen", labels=names)
    limit = GaugeMetricFamily(f"{PREFIX}limit", "The limit", labels=names)
    for labels, measured in told:
        for family, values in ((highest, measured.levels), (limit, measured.limits)):
            for name, value in values.items():
                family.add_metric([name, *labels.values()], value)
    yield highest
    yield limit
