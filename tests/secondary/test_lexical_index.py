from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from nasty import Machine, byte_strings, paged, run, texts
from valkey_vector import ConfigurationError, InvalidInputError
from valkey_vector.connection import Connection
from valkey_vector.secondary import LexicalIndex
from valkey_vector.secondary._encoding import decode_bytes, encode_bytes
from valkey_vector.secondary._normal import normal_form


class Lexical(Machine):
    """Of bytes, and the order is theirs; the subclass has texts, and orders them by their normal form."""

    def opened(self) -> Any:
        return LexicalIndex(self.name, members=bytes, connection=self.connection)

    def key(self, member: Any) -> Any:
        return member

    def begins(self, member: Any, prefix: Any) -> bool:
        return bool(self.key(member).startswith(self.key(prefix)))

    def __init__(self) -> None:
        super().__init__()
        self.index = self.opened()
        self.oracle: set[Any] = set()

    def ordered(self) -> list[Any]:
        return sorted(
            self.oracle, key=lambda m: (self.key(m), m if isinstance(m, bytes) else m.encode())
        )

    def check(self, expected: list[Any], reverse: bool, limit: int, bounds: Any) -> None:
        expected = sorted(expected, key=expected.index, reverse=reverse)
        assert self.index.range(**bounds, reverse=reverse) == expected
        assert self.index.range(**bounds, reverse=reverse, limit=limit) == expected[:limit]
        assert [*self.index.iterate(**bounds, reverse=reverse)] == expected
        assert self.index.count(**bounds) == len(expected)

        def page(after: str | None) -> tuple[tuple[object, ...], str | None]:
            got = self.index.page(**bounds, reverse=reverse, limit=limit, after=after)
            return got.items, got.cursor

        assert paged(page) == expected

    def add_and_remove(self, members: list[Any], gone: list[Any]) -> None:
        assert self.index.add_many(members) == len({*members} - self.oracle)
        self.oracle |= {*members}
        assert self.index.contains(gone) == [member in self.oracle for member in gone]
        assert self.index.remove(gone) == len({*gone} & self.oracle)
        self.oracle -= {*gone}

    def ranges(self, low: Any, high: Any, with_low: bool, with_high: bool) -> None:
        for reverse, limit in ((False, 1), (True, 2)):
            expected = [
                member
                for member in self.ordered()
                if low is None or self._above(member, low, with_low)
                if high is None or self._above(high, member, with_high)
            ]
            bounds = {"ge" if with_low else "gt": low, "le" if with_high else "lt": high}
            self.check(expected, reverse, limit, bounds)

    def prefixes(self, prefix: Any) -> None:
        expected = [member for member in self.ordered() if self.begins(member, prefix)]
        self.check(expected, False, 2, {"prefix": prefix})

    def _above(self, one: Any, other: Any, with_it: bool) -> bool:
        return bool(
            self.key(one) > self.key(other) or (with_it and self.key(one) == self.key(other))
        )

    @invariant()
    def consistent(self) -> None:
        assert self.index.verify().found == 0

    def teardown(self) -> None:
        self.index.clear()


class OfBytes(Lexical):
    @rule(members=st.lists(byte_strings, max_size=5), gone=st.lists(byte_strings, max_size=2))
    def changes(self, members: list[bytes], gone: list[bytes]) -> None:
        self.add_and_remove(members, gone)

    @rule(
        low=st.none() | byte_strings,
        high=st.none() | byte_strings,
        a=st.booleans(),
        b=st.booleans(),
    )
    def reads(self, low: bytes | None, high: bytes | None, a: bool, b: bool) -> None:
        self.ranges(low, high, a, b)

    @rule(prefix=byte_strings)
    def begins_with(self, prefix: bytes) -> None:
        self.prefixes(prefix)


class OfTexts(Lexical):
    def opened(self) -> Any:
        return LexicalIndex(self.name, normalize=True, connection=self.connection)

    def key(self, member: Any) -> Any:
        return normal_form(member).encode()

    @rule(members=st.lists(texts, max_size=5), gone=st.lists(texts, max_size=2))
    def changes(self, members: list[str], gone: list[str]) -> None:
        self.add_and_remove(members, gone)

    @rule(low=st.none() | texts, high=st.none() | texts, a=st.booleans(), b=st.booleans())
    def reads(self, low: str | None, high: str | None, a: bool, b: bool) -> None:
        self.ranges(low, high, a, b)

    @rule(prefix=texts)
    def begins_with(self, prefix: str) -> None:
        self.prefixes(prefix)


@pytest.mark.parametrize("machine", [OfBytes, OfTexts])
def test_it_equals_a_sorted_set(connection: Connection, machine: type[Machine]) -> None:
    run(machine, connection, examples=8)


@given(st.binary(), st.binary(), st.binary())
def test_encoded_bytes_keep_their_order_with_any_suffix(
    one: bytes, other: bytes, rest: bytes
) -> None:
    assert decode_bytes(encode_bytes(one) + rest) == (one, len(encode_bytes(one)))
    if one != other:
        assert (encode_bytes(one) + rest < encode_bytes(other)) == (one < other)
        assert not encode_bytes(one).startswith(encode_bytes(other))


@given(st.text())
def test_a_normal_form_is_its_own_and_has_no_case_or_accents(text: str) -> None:
    normal = normal_form(text)
    assert normal_form(normal) == normal
    assert not any(unicodedata.combining(letter) for letter in normal)


def test_the_original_is_kept_and_found_in_any_case_and_accent(
    connection: Connection, index_name: str
) -> None:
    index = LexicalIndex(index_name, normalize=True, connection=connection)
    index.add_many(["Éclair", "eclair", "ECLIPSE", "zebra", "Straße"])
    assert index.range(prefix="ECL") == ["eclair", "Éclair", "ECLIPSE"]
    assert index.range(ge="strasse", le="STRASSE") == ["Straße"]
    assert index.contains(["Eclair", "Éclair"]) == [False, True]


def test_bytes_have_no_normal_form_and_a_prefix_excludes_bounds(
    connection: Connection, index_name: str
) -> None:
    with pytest.raises(ConfigurationError, match="normal form"):
        LexicalIndex(index_name, members=bytes, normalize=True, connection=connection)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="prefix or bounds"):
        LexicalIndex(index_name, connection=connection).range(prefix="a", ge="b")


async def test_the_async_methods_do_the_same(connection: Connection, index_name: str) -> None:
    index = LexicalIndex(index_name, connection=connection)
    assert await index.aadd("b")
    assert await index.aadd_many(["a", "b"]) == 1
    assert await index.arange() == ["a", "b"]
    assert [member async for member in index.aiterate(gt="a")] == ["b"]
    assert (await index.apage(limit=1)).items == ("a",)
    assert await index.acontains(["a", "x"]) == [True, False]
    assert await index.acount(prefix="a") == 1
    assert await index.aremove(["a"]) == 1
