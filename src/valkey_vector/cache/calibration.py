"""Propose a similarity threshold from labeled pairs of prompts for a required precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from valkey_vector.cache.entries import check_prompt
from valkey_vector.errors import InvalidInputError

__all__ = ["Calibration", "CalibrationRow", "Pairs", "calibrate_similarities", "labelled_pairs"]

Pairs: TypeAlias = Iterable[tuple[str, str, bool]]
"""Two prompts and a label, True if one answer serves both."""

_TABLE = tuple(round(0.5 + 0.025 * step, 3) for step in range(21))
"""Thresholds of the table, 0.5 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRow:
    """Result of one threshold on the labeled pairs.

    Attributes:
        threshold: minimum similarity of a hit.
        hits: number of pairs with at least this similarity.
        hit_rate: share of the hits among all pairs, 0 to 1.
        precision: share of the hits with the label True, 0 to 1. NaN without hits.
    """

    threshold: float
    hits: int
    hit_rate: float
    precision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Proposed threshold, with a table of alternatives.

    Attributes:
        threshold: the lowest threshold with the required precision on these pairs, so the one with the most hits.
        precision: its precision on these pairs, 0 to 1.
        hit_rate: its hit rate on these pairs, 0 to 1.
        wanted: the required precision.
        pairs: number of pairs.
        table: one row for each threshold from 0.5 to 1, and for the proposed one.
    """

    threshold: float
    precision: float
    hit_rate: float
    wanted: float
    pairs: int
    table: tuple[CalibrationRow, ...]

    def __str__(self) -> str:
        lines = ["threshold  hits    hit rate  precision"]
        for row in self.table:
            chosen = "  <- proposed" if row.threshold == self.threshold else ""
            lines.append(
                f"{row.threshold:9.4f}  {row.hits:<6d}  {row.hit_rate:8.4f}  {row.precision:9.4f}{chosen}"
            )
        return "\n".join(lines)


def labelled_pairs(pairs: Pairs) -> list[tuple[str, str, bool]]:
    """Return the checked pairs.

    Raises:
        InvalidInputError: `pairs` is not a list, or a pair is not two texts and a label.
    """
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise InvalidInputError(
            f"pairs must be a list of (prompt, prompt, label), not a {type(pairs).__name__}"
        )
    labelled: list[tuple[str, str, bool]] = []
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 3:
            raise InvalidInputError(
                f"a labeled pair must be two prompts and True or False for the same answer, not {pair!r}"
            )
        first, second, same = pair
        labelled.append((check_prompt(first), check_prompt(second), bool(same)))
    return labelled


def calibrate_similarities(
    similarities: Sequence[float], same: Sequence[bool], precision: float
) -> Calibration:
    """Find the lowest threshold whose hits among these pairs have the required precision.

    Args:
        similarities: cosine similarity of each pair, -1 to 1.
        same: label of each pair, True if one answer serves both prompts.
        precision: required precision, > 0 and ≤ 1.

    Raises:
        InvalidInputError: there are no pairs, or no threshold has this precision.
    """
    if not 0 < precision <= 1:
        raise InvalidInputError(f"precision must be > 0 and ≤ 1, not {precision!r}")
    if not len(similarities):
        raise InvalidInputError("pairs is empty: pass at least one labeled pair of prompts")
    order = np.argsort(-np.asarray(similarities, dtype=np.float64), kind="stable")
    values = np.asarray(similarities, dtype=np.float64)[order]
    right = np.cumsum(np.asarray(same, dtype=np.bool_)[order])
    hits = np.arange(1, len(values) + 1)
    # A threshold accepts all pairs of equal similarity or none.
    last_of_equals = np.append(values[1:] != values[:-1], True)
    good = np.flatnonzero(last_of_equals & (right / hits >= precision) & (values > 0))
    if not len(good):
        possible = last_of_equals & (values > 0)
        if not possible.any():
            raise InvalidInputError(
                f"none of the {len(values)} pairs has a similarity > 0, which a threshold requires: "
                "use a better embedding model or other pairs"
            )
        best = float(np.max(right[possible] / hits[possible]))
        raise InvalidInputError(
            f"no threshold reaches a precision of {precision:g} on the {len(values)} pairs; the highest is {best:.4f}: "
            "use a lower precision, a better embedding model, or more pairs"
        )
    threshold = _between(values, int(good[-1]))

    def row(at: float) -> CalibrationRow:
        count = int(np.searchsorted(-values, -at, side="right"))
        share = float(right[count - 1] / count) if count else float("nan")
        return CalibrationRow(
            threshold=at, hits=count, hit_rate=count / len(values), precision=share
        )

    chosen = row(threshold)
    return Calibration(
        threshold=threshold,
        precision=chosen.precision,
        hit_rate=chosen.hit_rate,
        wanted=precision,
        pairs=len(values),
        table=tuple(row(at) for at in sorted({*_TABLE, threshold})),
    )


def _between(values: np.ndarray[tuple[int], np.dtype[np.float64]], last: int) -> float:
    """Return a threshold that exactly the pairs up to `last` reach, midway to the next pair to allow for rounding."""
    own = min(1.0, float(values[last]))
    following = float(values[last + 1]) if last + 1 < len(values) else own
    return own if following >= own else (own + max(0.0, following)) / 2
