"""Metrics of the public operations: instruments, and the counts of each operation of each index.

Counters are observable: a call adds to numbers in memory, and the SDK reads them when it collects. That is a tenth of the
cost of measurements that the SDK receives with each call. Only the duration, a histogram, needs such measurements.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider
from opentelemetry.metrics import Observation as Measurement

from valkey_vector import __version__
from valkey_vector.connection.observation import Observation

__all__ = ["SCOPE", "Metrics", "Series"]

SCOPE = "valkey_vector"
_SYSTEM = "valkey"
_DURATION = "db.client.operation.duration"
_ROUND_TRIPS = "valkey_vector.round_trips"
_CANDIDATES = "valkey_vector.candidates"
_FALLBACKS = "valkey_vector.fallbacks"
_LOOKUPS = "valkey_vector.cache.lookups"
_COUNTERS = {
    _ROUND_TRIPS: ("{request}", "Requests to the server"),
    _CANDIDATES: ("{record}", "Records that the engine returned to searches"),
    _FALLBACKS: ("{operation}", "Operations that needed another method, by method"),
    _LOOKUPS: ("{lookup}", "Lookups of caches, by result"),
}
"""Name -> unit and description."""

# In seconds, from the advice of OpenTelemetry's conventions for databases.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Series:
    """One operation of one index or cache, with its counts. Thread-safe.

    Args:
        operation: name of the operation.
        name: name of the index or the cache. None for an object without a name.

    Attributes:
        operation: name of the operation.
        span: name of its spans.
        attributes: attributes of its spans and metrics. All calls share them: do not change them.
    """

    __slots__ = ("_candidates", "_labelled", "_lock", "_round_trips", "attributes", "operation", "span")  # fmt: skip

    def __init__(self, operation: str, name: str | None) -> None:
        self.operation = operation
        self.span = operation if name is None else f"{operation} {name}"
        self.attributes = {"db.system.name": _SYSTEM, "db.operation.name": operation}
        if name is not None:
            self.attributes["db.collection.name"] = name
        self._lock = threading.Lock()
        self._round_trips = 0
        self._candidates = 0
        self._labelled: dict[tuple[str, str, str], int] = {}

    def add(self, observed: Observation, results: Mapping[str, int]) -> None:
        """Add the counts of one call.

        Args:
            observed: its counts.
            results: lookups of a cache by result.
        """
        with self._lock:
            self._round_trips += observed.round_trips
            self._candidates += observed.candidates
            for method in observed.fallbacks:
                self._count(_FALLBACKS, "method", method, 1)
            for result, number in results.items():
                self._count(_LOOKUPS, "result", result, number)

    def measurements(self, counter: str) -> Iterator[Measurement]:
        """Yield the values of a counter that are not 0."""
        with self._lock:
            plain = {_ROUND_TRIPS: self._round_trips, _CANDIDATES: self._candidates}
            labelled = list(self._labelled.items())
        if number := plain.get(counter):
            yield Measurement(number, self.attributes)
        for (name, label, value), number in labelled:
            if name == counter:
                yield Measurement(number, {**self.attributes, label: value})

    def _count(self, counter: str, label: str, value: str, number: int) -> None:
        key = counter, label, value
        self._labelled[key] = self._labelled.get(key, 0) + number


_AllSeries = dict[tuple[str, str | None], Series]
_series_of: WeakKeyDictionary[MeterProvider, _AllSeries] = WeakKeyDictionary()
_global_series: _AllSeries = {}


class Metrics:
    """The instruments of one meter provider.

    Args:
        meter_provider: None for the global one.
    """

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        meter = metrics.get_meter(SCOPE, __version__, meter_provider)
        self._series = _all_series(meter_provider)
        self._duration = meter.create_histogram(
            _DURATION,
            "s",
            "Duration of operations",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        for counter, (unit, description) in _COUNTERS.items():
            observe: Callable[[CallbackOptions], Iterable[Measurement]] = partial(
                _observe, self._series, counter
            )
            meter.create_observable_counter(counter, [observe], unit, description)

    def series(self, operation: str, name: str | None) -> Series:
        """Return the series of an operation.

        Args:
            operation: name of the operation.
            name: name of the index or the cache, or None.
        """
        found = self._series.get((operation, name))
        if found is None:  # setdefault: another thread may be faster
            found = self._series.setdefault((operation, name), Series(operation, name))
        return found

    def record(
        self,
        series: Series,
        seconds: float,
        observed: Observation,
        results: Mapping[str, int],
        failure: str | None,
    ) -> None:
        """Record one call.

        Args:
            series: the operation.
            seconds: its duration.
            observed: its counts.
            results: lookups of a cache by result: ``exact``, ``semantic`` and ``miss``.
            failure: class of the error that it raised, or None.
        """
        attributes = series.attributes
        if failure is not None:
            attributes = {**attributes, "error.type": failure}
        self._duration.record(seconds, attributes)
        series.add(observed, results)


def _all_series(meter_provider: MeterProvider | None) -> _AllSeries:
    """Return the series that the instruments of a provider read, always the same ones for the same provider.

    An SDK keeps the first instrument of a name with its callback, so the series outlive `uninstrument`. The global
    provider may be set after `instrument`: until then and afterwards its series are the same.
    """
    in_use = metrics.get_meter_provider()
    provider = in_use if meter_provider is None else meter_provider
    if (found := _series_of.get(provider)) is None:
        found = _series_of[provider] = _global_series if provider is in_use else {}
    return found


def _observe(series: _AllSeries, counter: str, _: CallbackOptions) -> Iterable[Measurement]:
    """Return the values of a counter, of all series."""
    return [each for one in list(series.values()) for each in one.measurements(counter)]
