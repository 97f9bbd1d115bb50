"""The width and the method of a filtered search, by the number of records that its filter selects."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from valkey_vector.engines.search.selectivity import Selectivities, Selectivity


@pytest.mark.parametrize(
    ("matching", "documents", "k", "width"),
    [
        (10_000, 10_000, 10, 100),
        (5_000, 10_000, 10, 90),
        (1_000, 10_000, 10, 62),
        (500, 10_000, 10, 53),
        (1_000, 100_000, 10, 45),
        (1_000, 100_000, 40, 80),
        (1_000, 10_000, 100, 100),
        (20_000, 10_000, 10, 100),
        (1, 256, 10, 100),
    ],
)
def test_the_width_is_never_above_that_of_the_index(
    matching: int, documents: int, k: int, width: int
) -> None:
    assert Selectivity(matching, documents).width(100, k) == width


@pytest.mark.parametrize(
    ("matching", "documents", "dimension", "compared"),
    [
        (0, 10_000, 384, True),
        (64, 10_000_000, 384, True),
        (200, 10_000, 384, True),
        (400, 10_000, 384, True),
        (550, 10_000, 384, False),
        (41, 3_000, 384, True),
        (170, 3_000, 384, False),
        (500, 100_000, 384, True),
        (100, 100_000, 384, False),
        (500, 100_000, 4096, False),
        (3, 200, 384, False),
    ],
)
def test_only_few_records_are_compared(
    matching: int, documents: int, dimension: int, *, compared: bool
) -> None:
    selectivity = Selectivity(matching, documents)
    assert selectivity.is_cheaper_to_compare(100, 10, dimension) is compared


@pytest.mark.parametrize(("name", "documents"), [("articles", 3_000), ("{tenant}articles", 1_000)])
def test_an_index_with_a_hash_tag_has_the_documents_of_one_node(name: str, documents: int) -> None:
    support: Any = SimpleNamespace(primaries=["a:1", "b:1", "c:1"], safe_total=98_000)
    known = Selectivities(support, name).learn("q", [[500], {b"num_docs": b"1000"}])
    assert (known.matching, known.documents) == (500, documents)
