"""Records one call of an operation as a span and as metrics, by OpenTelemetry's conventions for databases."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self

from opentelemetry import context, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from valkey_vector import __version__
from valkey_vector.cache.entries import CacheHit
from valkey_vector.cache.exact import ExactCache
from valkey_vector.cache.statistics import Count
from valkey_vector.connection.observation import Observation, observe, stop_observing
from valkey_vector.query.result import SearchResult
from valkey_vector.records.record import WriteResult
from valkey_vector.telemetry.metrics import SCOPE, Metrics, Series

__all__ = ["Call", "Recorder"]

_CONTENT_ARGUMENTS = ("text", "prompt", "filter", "which")
_MAX_CONTENT = 1_000
"""Maximum number of characters of one recorded argument."""

_CACHE_RESULTS = {Count.EXACT: "exact", Count.SEMANTIC: "semantic", Count.MISSES: "miss"}
_NONE: Mapping[str, int] = MappingProxyType({})
_MISS = MappingProxyType({"miss": 1})
_EXACT = MappingProxyType({"exact": 1})

_Attributes = dict[str, Any]


class Call:
    """One call that is being recorded: a context manager around it. An error is recorded by its type, and raised.

    A span that is not sampled costs no more than its creation: it is only the parent of the spans inside.
    """

    __slots__ = (
        "_attached",
        "_began",
        "_instance",
        "_observation",
        "_observed",
        "_recorder",
        "_result",
        "_series",
        "_span",
    )

    def __init__(self, recorder: Recorder, instance: object, series: Series, span: Span) -> None:
        self._recorder = recorder
        self._instance = instance
        self._series = series
        self._span = span
        self._result: object = self
        self._attached: Any = None

    def __enter__(self) -> Self:
        if self._span.is_recording() or _begins_a_trace(self._span):
            self._attached = context.attach(trace.set_span_in_context(self._span))
        self._observation, self._observed = observe()
        self._began = time.perf_counter()
        return self

    def returned(self, result: object) -> None:
        """Take the result of the call, of which only numbers are recorded."""
        self._result = result

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = time.perf_counter() - self._began
        stop_observing(self._observed)
        if self._attached is not None:
            context.detach(self._attached)
        observed, failure = self._observation, None if kind is None else kind.__qualname__
        results = self._lookups()
        try:
            self._recorder.metrics.record(self._series, seconds, observed, results, failure)
            if self._span.is_recording():
                self._span.set_attributes(self._counts(observed, results, failure))
                if error is not None:
                    message = str(error) if self._recorder.captures_content else None
                    self._span.set_status(Status(StatusCode.ERROR, message))
        finally:
            self._span.end()

    def _lookups(self) -> Mapping[str, int]:
        """Return the number of lookups of a cache by result: ``exact``, ``semantic`` and ``miss``."""
        if counted := self._observation.counts:
            return {
                name: int(counted[count])
                for count, name in _CACHE_RESULTS.items()
                if count in counted
            }
        if self._series.operation != "lookup" or not isinstance(self._instance, ExactCache):
            return _NONE
        if isinstance(self._result, CacheHit):
            return _EXACT
        return _MISS if self._result is None else _NONE

    def _counts(
        self, observed: Observation, results: Mapping[str, int], failure: str | None
    ) -> _Attributes:
        counts: _Attributes = {
            "valkey_vector.round_trips": observed.round_trips,
            "valkey_vector.commands": observed.commands,
        }
        if failure is not None:
            counts["error.type"] = failure
        if observed.candidates:
            counts["valkey_vector.candidates"] = observed.candidates
        if observed.fallbacks:
            counts["valkey_vector.fallbacks"] = tuple(observed.fallbacks)
        result = self._result
        if isinstance(result, list):
            counts["db.response.returned_rows"] = len(result)
            if isinstance(result, SearchResult) and result.partial:
                counts["valkey_vector.partial"] = True
        elif isinstance(result, WriteResult):
            counts["db.response.returned_rows"] = result.written
        for name, number in results.items():
            counts[f"valkey_vector.cache.{name}"] = number
        return counts


def _begins_a_trace(span: Span) -> bool:
    """Return True if a span that is not recorded is the first of its trace: the spans inside must know that.

    If it is not, they inherit that from the current span.
    """
    return (
        span.get_span_context().is_valid
        and not trace.get_current_span().get_span_context().is_valid
    )


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
        self.metrics = Metrics(meter_provider)
        self._tracer = trace.get_tracer(SCOPE, __version__, tracer_provider)

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
        owner = getattr(instance, "name", None)
        name = owner if isinstance(owner, str) else None
        series = self.metrics.series(operation, name)
        span = self._tracer.start_span(
            series.span, kind=SpanKind.CLIENT, attributes=series.attributes
        )
        if self.captures_content and span.is_recording():
            span.set_attributes(_content(instance, method, args, kwargs))
        return Call(self, instance, series, span)


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
