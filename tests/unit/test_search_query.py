"""Plans of words as queries: within what a server's parser takes, and nothing lost when they are cut up."""

from __future__ import annotations

import pytest

from dialect_guard import check
from valkey_vector.engines.search.query_syntax import QueryLimits, fit, query_text, split, within
from valkey_vector.filters.plan import (
    AllOf,
    AnyOf,
    Complement,
    Plan,
    Range,
    Tokens,
    Words,
    all_of,
    any_of,
    plan_fields,
    selects,
)

LIMITS = QueryLimits(bytes=10_112, terms=1000)


def test_words_are_alternatives() -> None:
    assert query_text(Words("stems", ("fox", "naïve"))) == "(@stems:fox | @stems:naïve)"


def test_words_of_a_field_are_gathered() -> None:
    joined = any_of([Words("w", ("a",)), Words("s", ("a",)), Words("w", ("b", "a"))])
    assert joined == any_of([Words("w", ("a", "b")), Words("s", ("a",))])
    assert plan_fields(joined) == ("w", "s")


@pytest.mark.parametrize(
    ("plan", "selected"),
    [
        (Words("w", ("b", "x")), True),
        (Words("w", ("ab",)), False),
        (Words("v", ("a",)), False),
        (Complement(Words("w", ("a",))), False),
    ],
)
def test_words_select_a_document_as_they_say(plan: Plan, selected: bool) -> None:
    assert selects(plan, {"w": b"a b c"}) is selected


@pytest.mark.parametrize("length", [1, 12, 90])
def test_a_large_set_of_words_is_cut_into_queries_that_a_server_takes(length: int) -> None:
    words = tuple(f"é{n:0{length}}" for n in range(2_500))
    rest = Tokens(("tenant", "other"))
    plan = all_of([rest, Words("stems", words)])
    assert not within(plan, LIMITS)
    pieces = split(plan, LIMITS)
    found: list[str] = []
    for piece in pieces:
        assert isinstance(piece, AllOf)
        assert within(piece, LIMITS)
        tokens, part = piece.parts
        assert tokens == rest
        assert isinstance(part, Words)
        found += part.words
        check(["FT.SEARCH", "i", query_text(piece), "LIMIT", "0", "1", "DIALECT", "2"])
    assert tuple(found) == words
    assert fit(plan, LIMITS) == rest


def between(low: float, high: float, **ends: bool) -> Range:
    return Range("n0", float(low), float(high), **ends)


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        ([between(3, 5), between(1, 4)], between(1, 5)),
        ([between(1, 2), between(2, 3, low_open=True)], between(1, 3)),
        ([between(1, 2), between(1, 2)], between(1, 2)),
        ([between(1, 9), between(2, 3)], between(1, 9)),
    ],
    ids=["overlap", "touch", "same", "inside"],
)
def test_intervals_that_meet_are_one(parts: list[Plan], joined: Plan) -> None:
    assert any_of(parts) == joined


def test_intervals_that_do_not_meet_stay_apart() -> None:
    parts = [between(1, 2, high_open=True), between(2, 3, low_open=True)]
    assert any_of(parts) == AnyOf(tuple(parts))


def test_what_is_excluded_is_one_term() -> None:
    parts = [Complement(Tokens((f"x{n}",))) for n in range(3)]
    assert all_of(parts) == Complement(Tokens(("x0", "x1", "x2")))


def test_a_large_union_is_cut_into_queries_that_a_server_takes() -> None:
    rest = Tokens(("tenant",))
    ranges = [between(10 * n, 10 * n + 3) for n in range(3_000)]
    mixed = [all_of([Tokens((f"t{n}",)), between(n, n + 1)]) for n in range(500)]
    pieces = split(all_of([rest, any_of([*ranges, *mixed])]), LIMITS)
    assert len(pieces) > 1
    assert all(within(piece, LIMITS) for piece in pieces)
    for value, token, selected in ((29_992, "x", True), (29_995, "x", False), (6, "t5", True)):
        fields = {"n0": str(value).encode(), "tags": f"tenant,{token}".encode()}
        assert any(selects(piece, fields) for piece in pieces) is selected
        assert not any(selects(piece, {**fields, "tags": b"other"}) for piece in pieces)


def test_intervals_for_which_there_is_no_room_become_the_one_that_covers_them() -> None:
    ranges = [between(10 * n, 10 * n + 3) for n in range(3_000)]
    assert fit(any_of(ranges), LIMITS) == between(0, 29_993)
