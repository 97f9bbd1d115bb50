"""JSON is decoded to exactly what the standard library decodes it to."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import stored_metadata
from valkey_vector.records.json_decoding import decode_json
from valkey_vector.records.metadata import dump

NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(10**1000), 10**1000),
    st.floats(),
    st.sampled_from([2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, -0.0, 5e-324]),
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal in value and type, all the way down; NaN equals NaN, and -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    match one:
        case float():
            nan = math.isnan(one) and math.isnan(other)
            return nan or (one == other and math.copysign(1, one) == math.copysign(1, other))
        case list():
            return len(one) == len(other) and all(map(same, one, other))
        case dict():
            return list(one) == list(other) and all(map(same, one.values(), other.values()))
        case _:
            return bool(one == other)


@given(JSON, st.booleans(), st.sampled_from([None, 2]))
def test_what_the_standard_library_encodes_is_decoded_alike(
    value: Any, ascii: bool, indent: int | None
) -> None:
    data = json.dumps(value, ensure_ascii=ascii, indent=indent).encode("utf-8")
    assert same(decode_json(data), json.loads(data))


@given(stored_metadata())
def test_stored_metadata_is_decoded_alike(metadata: dict[str, Any]) -> None:
    data = dump(metadata, "")
    assert same(decode_json(data), json.loads(data))


@given(
    st.text(alphabet='0123456789-+.eE"\\u{}[],: \tNaInfty', max_size=12)
    | st.from_regex(r"-?[0-9]{1,25}(\.[0-9]{1,25})?([eE][-+]?[0-9]{1,3})?", fullmatch=True)
)
def test_any_text_is_decoded_alike_or_refused_alike(text: str) -> None:
    data = text.encode("utf-8")
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - whichever the standard library raises
            decode_json(data)
    else:
        assert same(decode_json(data), expected)


@given(st.binary(max_size=12).map(lambda inside: b'"' + inside + b'"'))
def test_any_bytes_in_a_text_are_decoded_alike_or_refused_alike(data: bytes) -> None:
    try:
        expected = json.loads(data.decode("utf-8"))
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - likewise
            decode_json(data)
    else:
        assert same(decode_json(data), expected)
