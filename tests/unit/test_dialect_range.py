"""The guard on searches within a distance: refused up to 1.2, and from 1.3 on as its documents have them."""

from __future__ import annotations

import shlex
import struct

import pytest

from dialect_guard import DialectError, check

VECTOR = struct.pack("<4f", 1, 0, 0, 0)
INDEX = shlex.split(
    "FT.CREATE idx SCHEMA v VECTOR FLAT 6 TYPE FLOAT32 DIM 4 DISTANCE_METRIC L2 n NUMERIC t TAG"
)
RANGE = "@v:[VECTOR_RANGE $r $q]=>{$YIELD_DISTANCE_AS: d}"


def search(query: str, radius: str = "0.5", returned: str = "d") -> list[str | bytes]:
    options = f"PARAMS 4 r {radius} q VECTOR RETURN 1 {returned} SORTBY n ASC LIMIT 0 100 DIALECT 2"
    words = [VECTOR if word == "VECTOR" else word for word in options.split()]
    return ["FT.SEARCH", "idx", query, *words]


@pytest.mark.parametrize(
    "query", [RANGE, f"@n:[-inf inf] {RANGE}", f"(@n:[1 2] | @t:{{red}}) {RANGE}"]
)
@pytest.mark.parametrize("radius", ["0.5", "0", "1e-05", "inf"])
def test_a_range_is_for_1_3_and_not_before(query: str, radius: str) -> None:
    check(search(query, radius), (1, 3, 0), schema=INDEX)
    with pytest.raises(DialectError):
        check(search(query, radius), (1, 2, 1), schema=INDEX)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (search(RANGE, "-1"), "radius"),
        (search(RANGE, "nan"), "radius"),
        (search(RANGE, "0.5", "n"), "loses the distance"),
        (search(RANGE.replace("@v", "@w")), "does not exist"),
        (search(RANGE.replace("@v", "@n")), "not a Vector"),
        (search(RANGE.replace("$q", "$x")), "Parameter x not found"),
        (search(RANGE.replace("$r", "0.5")), "not used"),
        (search(RANGE.replace("AS: d", "AS: n")), "also a field"),
        (search(f"{RANGE}=>[KNN 1 @v $q]"), "cannot be used in the filter of a KNN"),
        (search(f"{RANGE} @n:[1"), "Invalid number|Expected"),
    ],
)
def test_a_range_that_1_3_would_refuse_is_refused(command: list[str | bytes], words: str) -> None:
    with pytest.raises(DialectError, match=words):
        check(command, (1, 3, 0), schema=INDEX)
