"""Joins of triple patterns, and paths. Both search depth first in batches, so that their memory is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from valkey_vector.errors import InvalidInputError
from valkey_vector.secondary._members import M
from valkey_vector.secondary._patterns import Pattern, Solution, Terms, range_of, triple_of
from valkey_vector.secondary._ranges import LexRange

__all__ = ["Edge", "join", "paths"]

_WIDTH = 100
"""Maximum number of solutions that one round trip extends."""

_MAX_REPLY = 10_000
"""Maximum number of triples that one round trip reads."""

Ranges = Callable[[Sequence[LexRange], int], list[list[bytes]]]
"""Reads several ranges in one round trip, up to a number of entries of each."""

Counts = Callable[[Sequence[LexRange]], list[int]]
"""Counts the entries of several ranges in one round trip."""

Edge = tuple[bytes, bytes, bytes]
"""An encoded triple."""


def matches(ranges: Ranges, patterns: Sequence[Terms]) -> Iterator[tuple[int, Edge]]:
    """Iterate over the triples that match any of several terms, each with the position of these terms."""
    waiting = [(at, range_of(terms)) for at, terms in enumerate(patterns)]
    while waiting:
        batch, waiting = waiting[:_WIDTH], waiting[_WIDTH:]
        width = _MAX_REPLY // len(batch)
        replies = ranges([bounds for _, bounds in batch], width)
        for (at, bounds), entries in zip(batch, replies, strict=True):
            for entry in entries:
                yield at, triple_of(entry)
            if len(entries) == width:
                waiting.append((at, (b"(" + entries[-1], bounds[1])))


def join(patterns: Sequence[Pattern[M]], ranges: Ranges, counts: Counts) -> Iterator[Solution]:
    """Iterate over the solutions of all patterns together, each once.

    Each step joins the pattern with the fewest triples, counted for the first solution of a batch.
    """
    return _extended([{}], list(patterns), ranges, counts)


def _extended(
    solutions: list[Solution], patterns: list[Pattern[M]], ranges: Ranges, counts: Counts
) -> Iterator[Solution]:
    if not patterns:
        yield from solutions
        return
    if len(patterns) == 1:
        smallest = 0
    else:
        sizes = counts([range_of(pattern.terms(solutions[0])) for pattern in patterns])
        smallest = sizes.index(min(sizes))
    chosen = patterns[smallest]
    rest = patterns[:smallest] + patterns[smallest + 1 :]
    found = matches(ranges, [chosen.terms(solution) for solution in solutions])
    extended = (chosen.extend(solutions[at], triple) for at, triple in found)
    remaining = (solution for solution in extended if solution is not None)
    while batch := list(islice(remaining, _WIDTH)):
        yield from _extended(batch, rest, ranges, counts)


def paths(
    source: bytes, target: bytes, max_depth: int, max_triples: int, ranges: Ranges
) -> Iterator[list[Edge]]:
    """Iterate over the paths that visit no node twice, shortest first.

    Raises:
        InvalidInputError: more than `max_triples` triples lead to the target.
    """
    distances, leaving = _distances(source, target, max_depth, max_triples, ranges)
    if source == target or source not in distances:
        return
    for edges in leaving.values():
        edges.sort()
    for length in range(distances[source], max_depth + 1):
        yield from _of_length(
            source, target, length, distances=distances, leaving=leaving, visited={source}
        )


def _distances(
    source: bytes, target: bytes, max_depth: int, max_triples: int, ranges: Ranges
) -> tuple[dict[bytes, int], dict[bytes, list[Edge]]]:
    """Compute the distance of nodes from the target, and the triples that lead to it, by subject."""
    distances = {target: 0}
    leaving: dict[bytes, list[Edge]] = {}
    layer, read = [target], 0
    for depth in range(1, max_depth + 1):
        following: dict[bytes, None] = {}
        for _, edge in matches(ranges, [(None, None, node) for node in layer]):
            read += 1
            if read > max_triples:
                raise InvalidInputError(
                    f"more than {max_triples} triples lead to the target within {max_depth} steps; "
                    "decrease max_depth or increase max_triples"
                )
            leaving.setdefault(edge[0], []).append(edge)
            if edge[0] not in distances:
                following[edge[0]] = None
        for node in following:
            distances[node] = depth
        layer = [node for node in following if node != source]
        if not layer:
            break
    return distances, leaving


def _of_length(
    node: bytes,
    target: bytes,
    length: int,
    *,
    distances: dict[bytes, int],
    leaving: dict[bytes, list[Edge]],
    visited: set[bytes],
) -> Iterator[list[Edge]]:
    """Iterate over the paths of exactly `length` triples."""
    for edge in leaving.get(node, ()):
        following = edge[2]
        if following in visited or distances.get(following, length) > length - 1:
            continue
        if following == target:
            if length == 1:
                yield [edge]
            continue
        visited.add(following)
        for rest in _of_length(
            following, target, length - 1, distances=distances, leaving=leaving, visited=visited
        ):
            yield [edge, *rest]
        visited.discard(following)
