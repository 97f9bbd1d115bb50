"""The width and the method of a filtered search, by the number of records that its filter selects."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from valkey_vector.engines.search.selectivity import Selectivities, Selectivity


@pytest.mark.parametrize(
    ("share", "k", "width"),
    [
        (1.0, 10, 45),
        (0.5, 10, 45),
        (0.4, 10, 56),
        (0.3, 10, 67),
        (0.2, 10, 80),
        (0.1, 10, 65),
        (0.05, 10, 55),
        (0.02, 10, 50),
        (0.001, 10, 50),
        (0.2, 1, 44),
        (0.5, 1, 25),
        (0.5, 20, 68),
        (0.5, 40, 100),
        (0.5, 400, 400),
    ],
)
def test_the_width_depends_on_the_share_of_matching_records_and_on_k(
    share: float, k: int, width: int
) -> None:
    assert Selectivity(int(share * 10_000), 10_000).width(max(100, k), k) == width


@pytest.mark.parametrize(("matching", "documents"), [(20_000, 10_000), (1, 256), (0, 10_000)])
def test_the_width_is_never_above_that_of_the_index(matching: int, documents: int) -> None:
    for k in (1, 10, 100):
        assert k <= Selectivity(matching, documents).width(100, k) <= 100


def test_the_width_rises_to_the_full_one_with_the_number_of_records() -> None:
    widths = [Selectivity(n // 10, n).width(100, 10) for n in (1_000, 10_000, 31_623, 100_000)]
    assert widths == [65, 65, 82, 100]
    assert Selectivity(10**6, 10**7).width(100, 1) == 100


def test_any_filter_of_a_small_index_is_searched_at_full_width() -> None:
    assert Selectivity(64, 256).width(100, 10) == 100


@pytest.mark.parametrize(
    ("matching", "documents", "dimension", "compared"),
    [
        (0, 10_000, 384, True),
        (30, 10_000_000, 384, True),
        (64, 10_000_000, 384, False),
        (30, 1_000, 384, True),
        (50, 1_000, 384, False),
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


def test_the_keys_of_the_latest_filters_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("valkey_vector.engines.search.selectivity._REMEMBERED_KEYS", 5)
    support: Any = SimpleNamespace()
    known = Selectivities(support, "articles")
    known.note_keys("a", [b"1", b"2"])
    known.note_keys("b", [b"3"])
    known.note_keys("a", [b"1", b"4"])
    assert (known.keys("a"), known.keys("b")) == ([b"1", b"4"], [b"3"])
    known.note_keys("c", [b"5", b"6", b"7"])
    assert (known.keys("a"), known.keys("b")) == ([b"1", b"4"], ())
    known.note_keys("a", [])
    assert (known.keys("a"), known.keys("c")) == ((), [b"5", b"6", b"7"])
