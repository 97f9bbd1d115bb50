"""Switches telemetry on and off: replaces the public operations by versions with spans and metrics."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

from valkey_vector.cache.semantic import SemanticCache
from valkey_vector.telemetry.operations import OPERATIONS
from valkey_vector.telemetry.recording import Recorder

try:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
except ModuleNotFoundError as error:
    raise ImportError(
        'telemetry needs opentelemetry-api: pip install "valkey-vector[otel]"'
    ) from error

__all__ = ["instrument", "uninstrument"]

_lock = threading.Lock()
_originals: dict[tuple[type, str], Callable[..., Any]] = {}
_running: ContextVar[object] = ContextVar("valkey_vector_running", default=None)


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    capture_content: bool = False,
) -> None:
    """Record a span and metrics for each public operation of indexes and caches in this process.

    The framework adapters are covered, because they call these operations. Without a configured OpenTelemetry SDK
    nothing is recorded. Calling it again replaces the settings.

    Args:
        tracer_provider: None for the global one.
        meter_provider: None for the global one.
        capture_content: also record the text and the filter of a query, and the messages of errors, which may quote
            values. Vectors and credentials are never recorded.
    """
    recorder = Recorder(tracer_provider, meter_provider, capture_content=capture_content)
    with _lock:
        _restore()
        for owner, names in OPERATIONS.items():
            for name in names:
                for version in (name, f"a{name}"):
                    definer = next(base for base in owner.__mro__ if version in vars(base))
                    original = vars(definer)[version]
                    _originals[definer, version] = original
                    setattr(definer, version, _recorded(original, name, recorder))


def uninstrument() -> None:
    """Restore the operations without spans. Does nothing if they have none."""
    with _lock:
        _restore()


def _restore() -> None:
    for (owner, name), original in _originals.items():
        setattr(owner, name, original)
    _originals.clear()


def _recorded(
    original: Callable[..., Any], operation: str, recorder: Recorder
) -> Callable[..., Any]:
    """Return a version of a method that records each call, except calls that are part of a recorded one."""
    if inspect.iscoroutinefunction(original):

        @wraps(original)
        async def acall(self: Any, *args: Any, **kwargs: Any) -> Any:
            if (running := _running.get()) is not None and _is_part(self, running):
                return await original(self, *args, **kwargs)
            token = _running.set(self)
            try:
                with recorder.call(original, operation, self, args, kwargs) as call:
                    result = await original(self, *args, **kwargs)
                    call.returned(result)
                    return result
            finally:
                _running.reset(token)

        return acall

    @wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (running := _running.get()) is not None and _is_part(self, running):
            return original(self, *args, **kwargs)
        token = _running.set(self)
        try:
            with recorder.call(original, operation, self, args, kwargs) as call:
                result = original(self, *args, **kwargs)
                call.returned(result)
                return result
        finally:
            _running.reset(token)

    return call


def _is_part(instance: object, running: object) -> bool:
    """Return True if the running operation is one of the same object, or of the cache whose index this is."""
    return running is instance or (isinstance(running, SemanticCache) and running.index is instance)
