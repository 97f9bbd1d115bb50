"""Candidate selection: which combinations of clauses a document needs to reach a score.

Every clause has an upper bound of its scores. A document that matches some clauses cannot score higher than the sum of
their bounds. So if k documents are known, only documents with a combination whose bounds add up to the k-th best score
can still be among the best (the idea of WAND).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["winning_combinations"]

_MAX_COMBINED = 8
"""Clauses that are combined; the bounds of all others are granted to every document."""

_MARGIN = 1.0 + 1e-9
"""Factor on the bounds, far above the rounding errors of a sum of scores."""


def winning_combinations(bounds: Sequence[float], threshold: float) -> list[tuple[int, ...]]:
    """Return the smallest combinations of clauses whose bounds add up to at least a score.

    Args:
        bounds: upper bound of the scores of each clause, descending.
        threshold: score to reach.

    Returns:
        Combinations as ascending positions in `bounds`; none includes another. A document that reaches the threshold
        matches all clauses of at least one. ``[()]`` if a document might reach it without any of the combined clauses,
        and no combination if no document can reach it.
    """
    granted = sum(bounds[_MAX_COMBINED:])
    needed = threshold / _MARGIN - granted
    return list(_combinations(bounds[:_MAX_COMBINED], needed, 0))


def _combinations(bounds: Sequence[float], needed: float, start: int) -> Iterator[tuple[int, ...]]:
    if needed <= 0:
        yield ()
        return
    # With descending bounds, a combination is smallest if it falls short without its last clause.
    if sum(bounds[start:]) < needed:
        return
    for position in range(start, len(bounds)):
        for others in _combinations(bounds, needed - bounds[position], position + 1):
            yield (position, *others)
