"""Progress display while a server works; shares and similarities that are never above 1."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tqdm.std import tqdm

from valkey_vector.cache.statistics import CacheStatistics, Count
from valkey_vector.concurrency.waiting import wait_until_indexed
from valkey_vector.engines.search.reading import indexed_share
from valkey_vector.schema.schema import Metric
from valkey_vector.schema.similarity import similarity


@pytest.mark.parametrize(
    ("described", "share"),
    [
        ({"percent_indexed": "1.0834"}, 1.0),
        ({"percent_indexed": "2"}, 1.0),
        ({"percent_indexed": "0.5"}, 0.5),
        ({"backfill_in_progress": "1", "backfill_complete_percent": "1.01"}, 0.999),
        ({"backfill_in_progress": "1", "backfill_complete_percent_min": "0.25"}, 0.25),
        ({"backfill_in_progress": "0", "backfill_complete_percent": "7"}, 1.0),
    ],
)
def test_the_indexed_share_is_at_most_one(described: dict[str, str], share: float) -> None:
    assert indexed_share(described) == share


@pytest.mark.parametrize(
    ("distance", "cosine"), [(-1e-7, 1.0), (0.0, 1.0), (2.0, -1.0), (2.0000001, -1.0), (0.5, 0.5)]
)
def test_a_cosine_similarity_is_between_minus_one_and_one(distance: float, cosine: float) -> None:
    assert similarity(distance, Metric.COSINE) == cosine


@pytest.mark.parametrize(
    ("total", "mean"), [(3.0000004, 1.0), (-3.0000004, -1.0), (1.5, 0.5), (3.0, 1.0)]
)
def test_the_mean_similarity_of_a_cache_is_between_minus_one_and_one(
    total: float, mean: float
) -> None:
    statistics = CacheStatistics.of({Count.SEMANTIC: 3, Count.SIMILARITY: total})
    assert statistics.mean_similarity == mean


def test_the_mean_similarity_without_semantic_hits_is_no_number() -> None:
    assert math.isnan(CacheStatistics.of({}).mean_similarity)


def test_the_bar_is_the_one_that_tqdm_picks_for_terminals_and_notebooks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []

    def notebook_bar(**settings: Any) -> Any:
        shown.append(settings["desc"])
        return tqdm(**{**settings, "disable": True})

    picking = ModuleType("tqdm.auto")
    picking.tqdm = notebook_bar  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tqdm.auto", picking)
    wait_until_indexed(lambda: 1.0, "articles", 1.0, progress=True)
    assert shown == ["indexing articles"]


def test_every_bar_comes_from_tqdm_auto() -> None:
    root = Path(__file__).parents[2] / "src"
    imports = [
        line.strip()
        for path in root.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if line.strip().startswith(("import tqdm", "from tqdm"))
    ]
    assert imports
    assert set(imports) == {"from tqdm.auto import tqdm"}
