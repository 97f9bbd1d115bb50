"""Rank fusion: combine two rankings into one, by rank or by weighted score."""

from __future__ import annotations

from collections.abc import Sequence

from valkey_vector.text.bm25 import Scored

__all__ = ["by_reciprocal_rank", "by_weight"]


def by_reciprocal_rank(rankings: Sequence[Sequence[Scored]], constant: float) -> list[Scored]:
    """Score each id by the sum of ``1 / (constant + rank)`` over the rankings that contain it; ranks start at 1.

    Args:
        rankings: each best first.
        constant: above 0.

    Returns:
        Best first, ties by id.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, (_, id) in enumerate(ranking, 1):
            scores[id] = scores.get(id, 0.0) + 1.0 / (constant + rank)
    return _ordered(scores)


def by_weight(rankings: Sequence[Sequence[Scored]], weights: Sequence[float]) -> list[Scored]:
    """Score each id by the weighted sum of its scores, scaled per ranking to 0 (worst) to 1 (best).

    Args:
        rankings: each best first. If all scores of a ranking are equal, they count as 1.
        weights: one for each ranking.

    Returns:
        Best first, ties by id.
    """
    scores: dict[str, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        if not ranking:
            continue
        best, worst = ranking[0][0], ranking[-1][0]
        for score, id in ranking:
            share = 1.0 if best == worst else (score - worst) / (best - worst)
            scores[id] = scores.get(id, 0.0) + weight * share
    return _ordered(scores)


def _ordered(scores: dict[str, float]) -> list[Scored]:
    return sorted(
        ((score, id) for id, score in scores.items()), key=lambda pair: (-pair[0], pair[1])
    )
