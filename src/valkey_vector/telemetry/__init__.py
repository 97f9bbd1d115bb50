"""OpenTelemetry spans and metrics of the public operations. Needs the extra ``otel``; sends nothing by itself."""

from valkey_vector.telemetry.instrumentation import instrument, uninstrument

__all__ = ["instrument", "uninstrument"]
