"""Reads of `Index`: complete, in order, at any size; on both engines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strategies import KEYS, MOMENTS, NUMBERS, TEXTS
from valkey_vector import F, Index, Metric, Record
from valkey_vector.engines import exact
from valkey_vector.records.temporal import instant

MANY = 15_000


def line(count: int, **metadata: Any) -> list[Record]:
    """Records ever further away from the origin."""
    return [
        Record(id=f"r{n}", vector=[float(n), 0, 0, 1], metadata={"n": n, **metadata})
        for n in range(count)
    ]


def ids(records: list[Record]) -> list[str]:
    return [record.id for record in records]


def test_records_come_in_the_order_of_the_ids_and_none_for_unknown_ones(index: Index) -> None:
    index.upsert(line(700))
    wanted = [f"r{n}" for n in range(699, -1, -1)]
    found = index.get([*wanted, "unknown", "r5", "r5"])
    assert [record and record.id for record in found] == [*wanted, None, "r5", "r5"]
    assert index.get([]) == []


def test_k_of_25_finds_25(index: Index) -> None:
    index.upsert(line(60))
    hits = index.search([1, 0, 0, 0], k=25)
    # Nearest to the first axis is what is farthest out along it.
    assert [hit.record.id for hit in hits] == [f"r{n}" for n in range(59, 34, -1)]


def test_everything_is_found_when_fewer_than_k_match(index: Index) -> None:
    index.upsert(line(60))
    for k in (20, 21, 1000):
        assert len(index.search([1, 0, 0, 1], k=k, filter=F("n") < 20)) == 20
    assert index.search([1, 0, 0, 1], filter=F("n") > 100) == []


def test_reading_continues_beyond_every_limit_of_the_server(
    open_index: Callable[..., Index],
) -> None:
    index = open_index(metric="L2", algorithm="FLAT")  # a graph may miss the nearest
    index.upsert(line(MANY), batch_size=1000)
    assert index.count() == MANY

    hits = index.search([0, 0, 0, 0], k=MANY)
    assert [hit.record.id for hit in hits] == [f"r{n}" for n in range(MANY)]
    hits = index.search([0, 0, 0, 0], k=12_000, filter=F("n") >= 1000)
    assert [hit.record.id for hit in hits] == [f"r{n}" for n in range(1000, 13_000)]

    some = F("n").between(1000, 12_999)
    assert index.count(some) == 12_000
    assert ids(index.select(some)) == [f"r{n}" for n in range(1000, 13_000)]
    window = index.select(some, offset=11_500, limit=20)
    assert ids(window) == [f"r{n}" for n in range(12_500, 12_520)]
    assert ids(index.select(some, offset=11_990)) == [f"r{n}" for n in range(12_990, 13_000)]
    last = index.select(order_by="n", descending=True, offset=12_000, limit=5)
    assert ids(last) == ["r2999", "r2998", "r2997", "r2996", "r2995"]

    named = F("n").in_(range(0, MANY, 3))  # 5,000 values
    assert index.count(named) == 5000
    hits = index.search([0, 0, 0, 0], k=4, filter=named)
    assert [hit.record.id for hit in hits] == ["r0", "r3", "r6", "r9"]
    assert index.count(~named) == 10_000
    hits = index.search([0, 0, 0, 0], k=4, filter=~named)
    assert [hit.record.id for hit in hits] == ["r1", "r2", "r4", "r5"]
    assert len(index.select(F.id.in_([f"r{n}" for n in range(0, MANY, 3)]))) == 5000

    assert index.delete_by_filter(some) == 12_000
    assert index.count() == 3000
    assert index.delete_all() == 3000
    assert index.count() == 0


def test_a_part_that_only_the_text_decides_is_checked_on_all_candidates(
    open_index: Callable[..., Index],
) -> None:
    index = open_index(metric="L2", algorithm="FLAT")  # a graph may miss the nearest
    records = line(3000)
    # The nearest that match are farther away than thousands that do not.
    rare = [
        Record(
            id=f"x{n}",
            content="needle in hay",
            vector=[5000.0 + n, 0, 0, 0],
            metadata={"title": f"The {n}% Thing"},
        )
        for n in range(5)
    ]
    index.upsert([*records, *rare], batch_size=1000)
    for wanted in (
        F("title").like("The _\\% %"),
        F("title").ilike("the%THING"),
        F.content.has_text("needle"),
        F("title") >= "The 0",
        {"title": {"$like": "%Thing"}},
    ):
        hits = index.search([0, 0, 0, 0], k=4, filter=wanted)
        assert [hit.record.id for hit in hits] == ["x0", "x1", "x2", "x3"]
        assert index.count(wanted) == 5
        assert ids(index.select(wanted, limit=2, offset=1)) == ["x1", "x2"]


def test_more_numeric_keys_than_slots_are_ordered_exactly_all_the_same(index: Index) -> None:
    keys = [f"k{number}" for number in range(25)]
    index.upsert(
        Record(id=f"r{n}", vector=[1, 0, 0, n], metadata=dict.fromkeys(keys, n)) for n in range(40)
    )
    for key in keys:
        assert ids(index.select(F(key) >= 38)) == ["r38", "r39"]
        assert len(index.search([1, 0, 0, 0], k=40, filter=F(key) < 10)) == 10


def test_selected_records_are_ordered_by_any_key(index: Index) -> None:
    values: list[Any] = [
        3, "b", None, 1.5, True, date(2024, 1, 2), "a", False, datetime(2024, 1, 1, tzinfo=UTC), -7,
    ]  # fmt: skip
    index.upsert(
        [Record(id=str(n), metadata={"v": value, "n": n}) for n, value in enumerate(values)]
        + [Record(id="none", metadata={"n": 99})]
    )
    assert ids(index.select(order_by="v")) == [
        "7",
        "4",
        "9",
        "3",
        "0",
        "8",
        "5",
        "6",
        "1",
        "2",
        "none",
    ]
    backwards = ids(index.select(order_by="v", descending=True))
    assert backwards == ["1", "6", "5", "8", "0", "3", "9", "4", "7", "2", "none"]
    assert ids(index.select(F("n") < 50, order_by="n", descending=True, limit=3, offset=1)) == ["8", "7", "6"]  # fmt: skip
    assert ids(index.select(descending=True))[0] == "none"
    assert index.select(limit=0) == []
    assert index.select(offset=50) == []


def test_records_are_ordered_by_what_is_inside_of_a_dict(index: Index) -> None:
    index.upsert([Record(id=id, metadata={"a": {"b": id}}) for id in "bca"])
    assert ids(index.select(order_by="a.b")) == ["a", "b", "c"]


def in_order(values: list[Any], *, descending: bool) -> list[int]:
    """Positions of the values as `select` is to order them: kind by kind, equal ones as they came."""
    kinds: list[tuple[Callable[[Any], bool], Callable[[Any], Any]]] = [
        (lambda v: isinstance(v, bool), int),
        (lambda v: isinstance(v, (int, float)) and not isinstance(v, bool), lambda v: v),
        (lambda v: isinstance(v, date), instant),
        (lambda v: isinstance(v, str), lambda v: v),
    ]
    positions: list[int] = []
    for belongs, key in reversed(kinds) if descending else kinds:
        group = [(key(value), n) for n, value in enumerate(values) if belongs(value)]
        group.sort(key=itemgetter(0), reverse=descending)
        positions += [n for _, n in group]
    return positions


def test_any_window_of_any_order_is_that_part_of_the_whole(
    open_index: Callable[..., Index],
) -> None:
    index = open_index()
    index.create()
    numbers = [number for number in NUMBERS if number == number]
    value = st.none() | st.booleans() | st.sampled_from([*numbers, *MOMENTS, *TEXTS])

    @settings(suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(KEYS), st.lists(value, max_size=25), st.integers(0, 9), st.integers(0, 9)
    )
    def check(key: str, values: list[Any], offset: int, limit: int) -> None:
        index.delete_all()
        index.upsert([Record(id=str(n), metadata={key: v}) for n, v in enumerate(values)])
        absent = [n for n, v in enumerate(values) if v is None]
        for descending in (False, True):
            whole = [str(n) for n in in_order(values, descending=descending) + absent]
            assert ids(index.select(order_by=key, descending=descending)) == whole
            window = index.select(
                order_by=key, descending=descending, offset=offset, limit=limit, with_content=False
            )
            assert ids(window) == whole[offset : offset + limit]

    check()


def test_the_oldest_record_comes_first_and_an_overwritten_one_keeps_its_place(index: Index) -> None:
    index.upsert([Record(id=id) for id in "cab"] + [Record(id="v", vector=[1, 0, 0, 0])])
    index.upsert([Record(id="a", content="new")])
    index.upsert([Record(id="d")])
    assert ids(index.select()) == ["c", "a", "b", "v", "d"]


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("algorithm", ["HNSW", "FLAT"])
def test_the_nearest_are_found_with_the_distances_and_similarities_of_their_metric(
    open_index: Callable[..., Index], metric: Metric, algorithm: str
) -> None:
    generator = np.random.default_rng(7)
    vectors = generator.normal(size=(200, 4)).astype(np.float32)
    query = generator.normal(size=4).astype(np.float32)
    index = open_index(metric=metric, algorithm=algorithm)
    index.upsert(Record(id=str(n), vector=vector) for n, vector in enumerate(vectors))

    products = vectors @ query
    match metric:
        case Metric.COSINE:
            similarities = products / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
            distances = 1 - similarities
        case Metric.L2:
            distances = ((vectors - query) ** 2).sum(axis=1)
            similarities = 1 / (1 + np.sqrt(distances))
        case Metric.IP:
            similarities, distances = products, 1 - products
    expected = np.argsort(distances)[:10]
    hits = index.search(query, k=10, with_vectors=True)
    assert [hit.record.id for hit in hits] == [str(n) for n in expected]
    assert [hit.distance for hit in hits] == pytest.approx(distances[expected].tolist(), abs=1e-5)
    assert [hit.similarity for hit in hits] == pytest.approx(
        similarities[expected].tolist(), abs=1e-5
    )
    for hit, n in zip(hits, expected, strict=True):
        assert hit.record.vector is not None
        assert np.array_equal(np.asarray(hit.record.vector), vectors[n])


def test_ties_are_in_the_order_of_their_ids(index: Index) -> None:
    index.upsert([Record(id=id, vector=[1, 0, 0, 0]) for id in "dbca"])
    assert [hit.record.id for hit in index.search([1, 0, 0, 0], k=4)] == ["a", "b", "c", "d"]
    some = [hit.record.id for hit in index.search([1, 0, 0, 0], k=3)]
    assert len(some) == 3
    assert some == sorted(some)


def test_mmr_chooses_what_is_near_and_unlike(index: Index) -> None:
    index.upsert(
        [
            Record(id="best", vector=[1, 0, 0, 0]),
            Record(id="twin", vector=[1, 0.01, 0, 0]),
            Record(id="other", vector=[0.7, 0, 0.7, 0]),
        ]
    )
    query = [1, 0, 0.1, 0]

    def chosen(lambda_mult: float) -> list[str]:
        return [hit.record.id for hit in index.search_mmr(query, k=2, lambda_mult=lambda_mult)]

    assert chosen(1.0) == ["best", "twin"]
    assert chosen(0.3) == ["best", "other"]
    assert all(hit.record.vector is None for hit in index.search_mmr(query))
    assert len(index.search_mmr(query, k=3, fetch_k=1)) == 3


def test_an_index_that_does_not_exist_reads_as_empty_and_is_not_created(index: Index) -> None:
    assert index.search([1, 0, 0, 0]) == []
    assert index.select() == []
    assert index.count() == 0
    assert index.get(["a"]) == [None]
    assert index.delete(["a"]) == 0
    assert index.delete_all() == 0
    assert not index.exists()


def test_a_record_that_loses_its_vector_while_it_is_searched_is_no_hit(
    open_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, other = open_index(), open_index()
    wanted = F("s").has_text(
        "x"
    )  # so few are requested that all are compared, and fetched after that
    monkeypatch.setattr("valkey_vector.execution.knn._MAX_CANDIDATES", 1)
    monkeypatch.setattr("valkey_vector.execution.knn._FIRST_REQUEST", 1)
    sizes: dict[str, dict[str, Any]] = {
        "search": {"k": 2},
        "search_mmr": {"k": 2, "fetch_k": 2},
    }
    for search in (index.search, index.search_mmr):
        index.upsert(
            [Record(id=f"c{n}", vector=[1, 0, 0, 0], metadata={"s": "y"}) for n in range(20)]
        )
        index.upsert([Record(id="a", vector=[9, 1, 0, 0], metadata={"s": "x"})])
        index.upsert([Record(id="b", vector=[1, 1, 0, 0], metadata={"s": "x"})])
        fetching, done = exact.compared, False

        def overtaken(engine: Any, pages: Any, *rest: Any, **options: Any) -> Any:
            def changing() -> Any:
                nonlocal done
                yield from list(pages())
                if not done:
                    done = True
                    other.upsert([Record(id="a", metadata={"s": "x"})])

            return fetching(engine, changing, *rest, **options)  # noqa: B023 - called in this turn

        monkeypatch.setattr("valkey_vector.execution.knn.compared", overtaken)
        hits = search([1, 0, 0, 0], filter=wanted, with_vectors=True, **sizes[search.__name__])
        monkeypatch.setattr("valkey_vector.execution.knn.compared", fetching)
        assert [hit.record.id for hit in hits] == ["b"]
