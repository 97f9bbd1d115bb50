"""A threshold calibrated on one half of real questions has its precision on the other half."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from banking import PRESENT, Known, labelled_pairs, questions
from valkey_vector.cache import SemanticCache


@pytest.mark.skipif(
    not PRESENT, reason="the data is not there; VALKEY_VECTOR_DATA names its folder"
)
def test_a_calibrated_precision_holds_on_questions_not_seen(
    open_cache: Callable[..., SemanticCache],
) -> None:
    train, test = questions("train"), questions("test")
    cache = open_cache(embed=Known(train, test), dimension=384)
    calibration = cache.calibrate(labelled_pairs(train), precision=0.95)
    assert calibration.precision >= 0.95
    assert calibration.pairs == len(train.texts)
    cache.threshold = calibration.threshold

    for text, intent in zip(train.texts, train.intents, strict=True):
        cache.store(text, intent)
    hits = cache.lookup_many(test.texts)
    right = [
        hit.answer == intent
        for hit, intent in zip(hits, test.intents, strict=True)
        if hit is not None
    ]
    assert sum(right) / len(right) >= 0.93
    assert len(right) / len(hits) >= 0.5
    best = (test.vectors @ train.vectors.T).max(axis=1)
    expected = int((best >= calibration.threshold).sum())
    assert abs(len(right) - expected) <= 2  # HNSW may miss a neighbour
