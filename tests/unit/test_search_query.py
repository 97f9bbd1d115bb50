"""Plans of words as queries: within what a server's parser takes, and nothing lost when they are cut up."""

from __future__ import annotations

import pytest

from dialect_guard import check
from valkey_vector.engines.search_query import QueryLimits, fit, query_text, split, within
from valkey_vector.filters.plan import (
    AllOf,
    Complement,
    Plan,
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
