"""Propose a similarity threshold from labelled pairs of prompts, for a wanted precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from valkey_vector.cache.entries import check_prompt
from valkey_vector.errors import InvalidInputError

__all__ = ["Calibration", "CalibrationRow", "Pairs", "calibrate_similarities", "labelled_pairs"]

Pairs: TypeAlias = Iterable[tuple[str, str, bool]]
"""Two prompts, and whether one answer does for both."""

_TABLE = tuple(round(0.5 + 0.025 * step, 3) for step in range(21))
"""The thresholds of the table: 0.5 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRow:
    """What one threshold would have done with the pairs.

    Attributes:
        threshold: least similarity of a hit.
        hits: pairs at least so similar.
        hit_rate: their share of all pairs, 0 to 1.
        precision: share of the hits that are labelled as having the same answer; NaN without a hit.
    """

    threshold: float
    hits: int
    hit_rate: float
    precision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A proposed threshold, and what there is to choose from.

    Attributes:
        threshold: the lowest one with the wanted precision on these pairs, so the one with the most hits.
        precision: that it has on these pairs.
        hit_rate: that it has on these pairs.
        wanted: the precision asked for.
        pairs: how many pairs there were.
        table: from 0.5 to 1, and the proposed one among them.
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
    """The pairs, if they are some.

    Raises:
        InvalidInputError: they are no list, or one is not two texts with a label.
    """
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise InvalidInputError(f"pairs must be a list, not a {type(pairs).__name__}")
    labelled: list[tuple[str, str, bool]] = []
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 3:
            raise InvalidInputError(
                f"a labelled pair must be two prompts and whether one answer does for both, not {pair!r}"
            )
        first, second, same = pair
        labelled.append((check_prompt(first), check_prompt(second), bool(same)))
    return labelled


def calibrate_similarities(
    similarities: Sequence[float], same: Sequence[bool], precision: float
) -> Calibration:
    """The lowest threshold with which the hits among these pairs have the wanted precision.

    Args:
        similarities: cosine similarity of each pair, -1 to 1.
        same: for each pair, whether one answer does for both.
        precision: wanted, above 0 up to 1.

    Raises:
        InvalidInputError: there are no pairs, or no threshold has this precision.
    """
    if not 0 < precision <= 1:
        raise InvalidInputError(f"precision must be above 0 and at most 1, not {precision!r}")
    if not len(similarities):
        raise InvalidInputError("calibration needs labelled pairs of prompts, and there are none")
    order = np.argsort(-np.asarray(similarities, dtype=np.float64), kind="stable")
    values = np.asarray(similarities, dtype=np.float64)[order]
    right = np.cumsum(np.asarray(same, dtype=np.bool_)[order])
    hits = np.arange(1, len(values) + 1)
    # A threshold takes all pairs of one similarity or none of them.
    last_of_equals = np.append(values[1:] != values[:-1], True)
    good = np.flatnonzero(last_of_equals & (right / hits >= precision) & (values > 0))
    if not len(good):
        possible = last_of_equals & (values > 0)
        if not possible.any():
            raise InvalidInputError(
                f"none of these {len(values)} pairs has a similarity above 0, as a threshold must be: "
                "take a better embedding model, or other pairs"
            )
        best = float(np.max(right[possible] / hits[possible]))
        raise InvalidInputError(
            f"no threshold has a precision of {precision:g} on these {len(values)} pairs, the best is {best:.4f}: "
            "take a lower precision, a better embedding model, or more pairs"
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
    """A threshold that the pairs up to `last` reach and no other: midway, so that rounding does not matter."""
    own = min(1.0, float(values[last]))
    following = float(values[last + 1]) if last + 1 < len(values) else own
    return own if following >= own else (own + max(0.0, following)) / 2
