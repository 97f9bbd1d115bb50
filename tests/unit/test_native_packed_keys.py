"""Texts in one buffer are read as they were added, also when the buffer has more than four gigabytes."""

from __future__ import annotations

import numpy as np
import pytest

from valkey_vector.engines.native import packed_keys
from valkey_vector.engines.native.packed_keys import PackedKeys, PackedValues


def test_ends_beyond_four_bytes_take_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_keys, "_LAST", 10)
    values = PackedValues()
    assert values._ends.itemsize == 4
    values.extend([b"abc", b"", b"defg"])
    assert values._ends.itemsize == 4
    values.extend([b"hij", b"k" * 300])
    assert values._ends.itemsize == 8
    expected = [b"abc", b"", b"defg", b"hij", b"k" * 300]
    assert values.many(np.arange(5)) == expected
    assert [values[position] for position in range(5)] == expected


def test_texts_are_found_whenever_they_were_added() -> None:
    random = np.random.default_rng(3)
    keys = PackedKeys()
    known: dict[str, int] = {}
    for size in (1, 5_000, 3, 9_000, 200, 20_000):
        texts = [f"d{number}" for number in random.integers(0, 30_000, size)]
        numbers = keys.add_all(texts)
        for text, number in zip(texts, numbers.tolist(), strict=True):
            assert known.setdefault(text, number) == number
    assert len(keys) == len(known)
    assert keys.find_all(list(known)).tolist() == list(known.values())
    assert keys.find("absent") == -1
    assert keys.texts(np.array(list(known.values()))) == list(known)
