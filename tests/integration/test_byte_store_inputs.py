"""Anything but a pair of a key and a value is refused before a write."""

from __future__ import annotations

from typing import Any

import pytest

from valkey_vector import Connection, InvalidInputError
from valkey_vector.stores import ByteStore


@pytest.mark.parametrize(
    "pairs", [["ab", 5], [("a",)], [("a", b"1"), 5], ["ab"], "ab", 5, [("a", b"1", 2)]], ids=str
)
def test_what_is_no_pair_is_refused(server_url: str, index_name: str, pairs: Any) -> None:
    with Connection.open(server_url) as connection:
        store = ByteStore(index_name, connection=connection)
        with pytest.raises(InvalidInputError, match="pairs"):
            store.mset(pairs)
        assert list(store.yield_keys()) == []
