"""Caches for applications that use language models. They need no framework."""

from valkey_vector.cache.calibration import Calibration, CalibrationRow
from valkey_vector.cache.embeddings import EmbeddingsCache
from valkey_vector.cache.entries import CacheHit
from valkey_vector.cache.exact import ExactCache
from valkey_vector.cache.semantic import SemanticCache
from valkey_vector.cache.statistics import CacheStatistics

__all__ = [
    "CacheHit",
    "CacheStatistics",
    "Calibration",
    "CalibrationRow",
    "EmbeddingsCache",
    "ExactCache",
    "SemanticCache",
]
