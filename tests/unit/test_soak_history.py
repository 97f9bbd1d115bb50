"""The model checker reports wrong answers, and only those."""

from __future__ import annotations

from dataclasses import replace

import pytest

from soak_history import Change, History, Kind, Outcome, Sight
from soak_records import (
    IDS,
    MARK,
    MixtureError,
    group_of,
    id_of,
    record_of,
    state_of,
    vector_of,
)

SECOND = 10**9
FIRST, SECOND_WRITE = IDS + 7, 2 * IDS + 7  # two seeds of one id, of different groups
ID = id_of(FIRST)


def write(seed: int, start: int, end: int, **settings: object) -> Change:
    change = Change(
        start=start * SECOND, end=end * SECOND, worker="w", kind=Kind.WRITE, id=ID, seed=seed
    )
    return replace(change, **settings)  # type: ignore[arg-type]


def other(kind: Kind, seed: int, start: int, end: int, **settings: object) -> Change:
    return write(seed, start, end, kind=kind, **settings)


def sight(start: int, end: int, **settings: object) -> Sight:
    seen = Sight(start=start * SECOND, end=end * SECOND, worker="r", how="get")
    return replace(seen, **settings)  # type: ignore[arg-type]


def saw(seed: int, start: int, end: int, mark: int = 0) -> Sight:
    return sight(start, end, states={ID: (seed, mark)})


def missed(start: int, end: int) -> Sight:
    return sight(start, end, missing=(ID,))


WRITTEN = write(FIRST, 10, 20)
DELETED = other(Kind.DELETE, 0, 30, 40)
PURGED = other(Kind.PURGE, group_of(FIRST), 30, 40, id="")
MARKED = other(Kind.MARK, 77, 30, 40)

RIGHT: list[tuple[str, list[Change], Sight]] = [
    ("written", [WRITTEN], saw(FIRST, 25, 26)),
    ("while it is being written", [WRITTEN], saw(FIRST, 11, 12)),
    ("not yet, while it is being written", [WRITTEN], missed(11, 12)),
    ("still, while it is being deleted", [WRITTEN, DELETED], saw(FIRST, 35, 36)),
    ("no longer, while it is being deleted", [WRITTEN, DELETED], missed(35, 36)),
    ("deleted", [WRITTEN, DELETED], missed(45, 46)),
    ("purged", [WRITTEN, PURGED], missed(45, 46)),
    ("overwritten", [WRITTEN, write(SECOND_WRITE, 30, 40)], saw(SECOND_WRITE, 45, 46)),
    ("expired", [write(FIRST, 10, 20, ttl=5 * SECOND)], missed(30, 31)),
    ("gone as expired", [WRITTEN, write(SECOND_WRITE, 21, 22, ttl=SECOND)], missed(30, 31)),
    ("maybe deleted", [WRITTEN, replace(DELETED, outcome=Outcome.UNKNOWN)], missed(99, 100)),
    ("maybe written", [write(FIRST, 10, 20, outcome=Outcome.UNKNOWN)], missed(99, 100)),
    ("written after all", [write(FIRST, 10, 20, outcome=Outcome.UNKNOWN)], saw(FIRST, 99, 100)),
    ("marked", [WRITTEN, MARKED], saw(FIRST, 45, 46, mark=77)),
    ("not yet marked", [WRITTEN, MARKED], saw(FIRST, 35, 36)),
    ("marked by filter", [WRITTEN, replace(MARKED, id="")], saw(FIRST, 45, 46, mark=77)),
    (
        "in another group now",
        [WRITTEN, write(SECOND_WRITE, 30, 40)],
        sight(45, 46, complete=group_of(FIRST)),
    ),
]

WRONG: list[tuple[str, list[Change], Sight]] = [
    ("never written", [WRITTEN], saw(SECOND_WRITE, 45, 46)),
    ("before it was written", [WRITTEN], saw(FIRST, 5, 6)),
    ("after its deletion", [WRITTEN, DELETED], saw(FIRST, 45, 46)),
    ("after a purge of its group", [WRITTEN, PURGED], saw(FIRST, 45, 46)),
    ("after it was overwritten", [WRITTEN, write(SECOND_WRITE, 30, 40)], saw(FIRST, 45, 46)),
    ("after its end of life", [write(FIRST, 10, 20, ttl=SECOND)], saw(FIRST, 45, 46)),
    ("missing", [WRITTEN], missed(25, 26)),
    ("missing although only another group was purged", [WRITTEN, replace(PURGED, seed=3)], missed(45, 46)),
    ("missing although only overwritten", [WRITTEN, write(SECOND_WRITE, 30, 40)], missed(45, 46)),
    ("missing from its group", [WRITTEN], sight(25, 26, complete=group_of(FIRST))),
    ("claimed although it was there", [WRITTEN, write(SECOND_WRITE, 30, 40, fresh=True)], sight(0, 1)),
    ("marked by nobody", [WRITTEN], saw(FIRST, 45, 46, mark=77)),
    ("with a lost mark", [WRITTEN, MARKED], saw(FIRST, 45, 46)),
    ("with a mark of the record before", [other(Kind.MARK, 5, 1, 2), WRITTEN], saw(FIRST, 25, 26, mark=5)),
    (
        "with an older mark",
        [WRITTEN, MARKED, other(Kind.MARK, 78, 50, 60)],
        saw(FIRST, 65, 66, mark=77),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "seen"), [case[1:] for case in RIGHT], ids=[c[0] for c in RIGHT]
)
def test_accepts_an_answer_that_the_operations_explain(changes: list[Change], seen: Sight) -> None:
    assert list(History(changes).faults([seen])) == []


@pytest.mark.parametrize(
    ("changes", "seen"), [case[1:] for case in WRONG], ids=[c[0] for c in WRONG]
)
def test_reports_an_answer_that_no_order_explains(changes: list[Change], seen: Sight) -> None:
    (fault,) = History(changes).faults([seen])
    assert ID in fault


def test_a_record_describes_itself() -> None:
    record = record_of(FIRST)
    assert state_of(record) == (FIRST, 0)
    assert state_of(replace(record, metadata={**record.metadata, MARK: 5})) == (FIRST, 5)
    assert state_of(replace(record, vector=None, payload=None)) == (FIRST, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"content": "record 1"},
        {"parent": "parent 1"},
        {"payload": b"1"},
        {"vector": vector_of(1)},
        {"id": "r0"},
        {"metadata": {**record_of(FIRST).metadata, "group": 4}},
        {"metadata": {}},
    ],
    ids=lambda changed: str(*changed),
)
def test_a_mixture_of_two_writes_is_noticed(changed: dict[str, object]) -> None:
    with pytest.raises(MixtureError):
        state_of(replace(record_of(FIRST), **changed))  # type: ignore[arg-type]
