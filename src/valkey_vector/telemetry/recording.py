"""Records one call of an operation as a span and as metrics, by OpenTelemetry's conventions for databases."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from valkey_vector import __version__
from valkey_vector.cache.entries import CacheHit
from valkey_vector.cache.exact import ExactCache
from valkey_vector.cache.statistics import Count
from valkey_vector.connection.observation import Observation, observing
from valkey_vector.query.result import SearchResult
from valkey_vector.records.record import WriteResult

__all__ = ["Call", "Recorder"]

_SCOPE = "valkey_vector"
_SYSTEM = "valkey"
_CACHE_RESULTS = {Count.EXACT: "exact", Count.SEMANTIC: "semantic", Count.MISSES: "miss"}
_CONTENT_ARGUMENTS = ("text", "prompt", "filter", "which")
_MAX_CONTENT = 1_000
"""Maximum number of characters of one recorded argument."""

# In seconds, from the advice of OpenTelemetry's conventions for databases.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_Attributes = dict[str, Any]


class Call:
    """One call that is being recorded: a context manager around it. An error is recorded by its type, and raised."""

    __slots__ = (
        "_attributes",
        "_began",
        "_context",
        "_instance",
        "_observation",
        "_observed",
        "_partial",
        "_recorder",
        "_results",
        "_rows",
        "_span",
    )

    def __init__(
        self, recorder: Recorder, instance: object, attributes: _Attributes, span: Span
    ) -> None:
        self._recorder = recorder
        self._instance = instance
        self._attributes = attributes
        self._span = span
        self._observed = observing()
        self._results: dict[str, int] = {}
        self._rows: int | None = None
        self._partial = False

    def __enter__(self) -> Self:
        self._context = context.attach(trace.set_span_in_context(self._span))
        self._observation = self._observed.__enter__()
        self._began = time.perf_counter()
        return self

    def returned(self, result: object) -> None:
        """Take what can be counted from the result of the call."""
        if isinstance(result, list):
            self._rows = len(result)
            self._partial = isinstance(result, SearchResult) and result.partial
        elif isinstance(result, WriteResult):
            self._rows = result.written
        elif isinstance(self._instance, ExactCache):
            if result is None:
                self._results["miss"] = 1
            elif isinstance(result, CacheHit):
                self._results["exact"] = 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = time.perf_counter() - self._began
        self._observed.__exit__(kind, error, traceback)
        context.detach(self._context)
        try:
            self._recorder.measure(
                self._attributes, error, seconds, self._observation, self._results
            )
            if self._span.is_recording():
                self._record(error)
        finally:
            self._span.end()

    def _record(self, error: BaseException | None) -> None:
        observed = self._observation
        recorded: _Attributes = {
            "valkey_vector.round_trips": observed.round_trips,
            "valkey_vector.commands": observed.commands,
        }
        if error is not None:
            recorded["error.type"] = type(error).__qualname__
            message = str(error) if self._recorder.captures_content else None
            self._span.set_status(Status(StatusCode.ERROR, message))
        if observed.candidates:
            recorded["valkey_vector.candidates"] = observed.candidates
        if observed.fallbacks:
            recorded["valkey_vector.fallbacks"] = tuple(observed.fallbacks)
        if self._rows is not None:
            recorded["db.response.returned_rows"] = self._rows
        if self._partial:
            recorded["valkey_vector.partial"] = True
        for result, number in cache_results(observed, self._results).items():
            recorded[f"valkey_vector.cache.{result}"] = number
        self._span.set_attributes(recorded)


class Recorder:
    """Creates the spans and metrics.

    Args:
        tracer_provider: None for the global one.
        meter_provider: None for the global one.
        capture_content: record texts, filters and messages of errors.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        *,
        capture_content: bool,
    ) -> None:
        self.captures_content = capture_content
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
        self._duration = meter.create_histogram(
            "db.client.operation.duration",
            "s",
            "Duration of operations",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._round_trips = meter.create_counter(
            "valkey_vector.round_trips", "{request}", "Requests to the server"
        )
        self._lookups = meter.create_counter(
            "valkey_vector.cache.lookups", "{lookup}", "Lookups of caches, by result"
        )

    def call(
        self,
        method: Callable[..., Any],
        operation: str,
        instance: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Call:
        """Return a context manager that records one call.

        Args:
            method: the method that is called.
            operation: name of the operation.
            instance: the object whose method it is.
            args: positional arguments of the call.
            kwargs: keyword arguments of the call.
        """
        attributes: _Attributes = {"db.system.name": _SYSTEM, "db.operation.name": operation}
        name = operation
        owner = getattr(instance, "name", None)
        if isinstance(owner, str):
            attributes["db.collection.name"] = owner
            name = f"{operation} {owner}"
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        if self.captures_content and span.is_recording():
            span.set_attributes(_content(instance, method, args, kwargs))
        return Call(self, instance, attributes, span)

    def measure(
        self,
        attributes: _Attributes,
        error: BaseException | None,
        seconds: float,
        observed: Observation,
        results: Mapping[str, int],
    ) -> None:
        """Record the metrics of one call."""
        failure = {} if error is None else {"error.type": type(error).__qualname__}
        self._duration.record(seconds, {**attributes, **failure})
        if observed.round_trips:
            self._round_trips.add(observed.round_trips, attributes)
        for result, number in cache_results(observed, results).items():
            self._lookups.add(number, {**attributes, "result": result})


def cache_results(observed: Observation, results: Mapping[str, int]) -> dict[str, int]:
    """Return the number of lookups by result: ``exact``, ``semantic`` and ``miss``."""
    counted = observed.counts
    if not counted:
        return dict(results)
    found = {
        name: int(counted[count]) for count, name in _CACHE_RESULTS.items() if count in counted
    }
    return {**found, **results}


def _content(
    instance: Any, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> _Attributes:
    """Return the text and filter of a call, cut; nothing for arguments that do not fit the method."""
    try:
        bound = inspect.signature(method).bind(instance, *args, **kwargs).arguments
    except TypeError:
        return {}
    # Of a query object only the text and the filter: it may also hold a vector.
    query = bound.get("query")
    values = {name: bound.get(name, getattr(query, name, None)) for name in _CONTENT_ARGUMENTS}
    return {
        f"valkey_vector.{name}": repr(value)[:_MAX_CONTENT]
        for name, value in values.items()
        if value is not None
    }
