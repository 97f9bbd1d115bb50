"""`Completion`: suggests texts for a typed prefix, the most frequent first."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.records.validation import check_k
from valkey_vector.secondary._base import BATCH, SecondaryIndex
from valkey_vector.secondary._bounds import after_prefix
from valkey_vector.secondary._encoding import decode_bytes, encode_bytes
from valkey_vector.secondary._entries import MALFORMED
from valkey_vector.secondary._members import pairs_of, text_bytes
from valkey_vector.secondary._normal import normal_form
from valkey_vector.storage.keyspace import in_parts

__all__ = ["Completion", "Suggestion"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_FUZZY_LETTERS = 5
_DIGITS = 12
_MAX_COUNT = 10**_DIGITS - 1


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Text that completes a prefix.

    Attributes:
        text: the text in its last recorded spelling.
        frequency: the recorded count, minus the fading.
    """

    text: str
    frequency: int


class Completion(SecondaryIndex):
    """Index of texts by prefix, ranked by frequency. Equal frequencies are ordered by normal form.

    Texts that differ only in case and accents count as one text, shown in its last recorded spelling. Memory is bounded:
    at `max_entries` texts, a new text replaces one of the least frequent. With `fade`, texts that are suggested but not
    recorded again disappear over time. Each method has an async version with the prefix ``a``.

    Args:
        name: name of the index, any non-empty text.
        scope: separates texts, for example of different tenants.
        normalize: ignore case and accents.
        max_entries: maximum number of texts, ≥ 1.
        fade: probability, 0 to 1, that a call of `suggest` lowers the frequency of one returned text by 1. Rare texts
            are chosen more often. With 0, `suggest` writes nothing.
        rng: random source for fading. Default: the module `random`.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the index.

    Raises:
        ConfigurationError: an argument is not valid.
    """

    kind = "completion"
    parts: ClassVar[Mapping[str, str]] = {"terms": "zset", "ranked": "zset"}

    def __init__(
        self,
        name: str,
        *,
        scope: str | None = None,
        normalize: bool = True,
        max_entries: int = 1_000_000,
        fade: float = 0.0,
        rng: random.Random | None = None,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        if not isinstance(fade, int | float) or isinstance(fade, bool) or not 0 <= fade <= 1:
            raise ConfigurationError(f"fade must be a probability from 0 to 1, not {fade!r}")
        self._fade = fade
        self._normalize = normalize
        self._max_entries = check_k(max_entries, "max_entries")
        self._random = rng.random if rng is not None else random.random
        super().__init__(
            name, settings={"normalize": normalize}, scope=scope, url=url, connection=connection
        )

    def record(self, text: str, count: int = 1) -> int:
        """Add to the frequency of a text. Returns the new frequency. Cost: one round trip, atomic.

        Args:
            text: the text that was typed or chosen.
            count: amount to add, ≥ 1.

        Raises:
            InvalidInputError: the text is empty, has no letter beside accents, or holds a lone surrogate.
        """
        return self.record_many([(text, count)])[0]

    def record_many(self, counts: Mapping[str, int] | Iterable[tuple[str, int]]) -> list[int]:
        """Add to the frequencies of texts. Returns the new frequencies.

        All texts are checked first. Cost: one round trip for each 500, each atomic.

        Raises:
            InvalidInputError: as for `record`; nothing was counted.
        """
        pairs = pairs_of(counts, "text and count")
        rows = [(self._normal(text), text, _checked_count(count)) for text, count in pairs]
        frequencies: list[int] = []
        for part in in_parts(rows, BATCH):
            arguments: list[Argument] = [str(self._max_entries)]
            for normal, text, count in part:
                arguments += [normal, text, str(count), repr(self._random())]
            frequencies += self._write("completion_record", ("terms", "ranked"), *arguments)
        return frequencies

    def suggest(self, prefix: str, limit: int = 10, *, fuzzy: bool = False) -> list[Suggestion]:
        """Return the most frequent texts that start with a prefix, the most frequent first.

        Args:
            prefix: the typed text. The empty prefix matches all texts.
            limit: maximum number of suggestions, ≥ 1.
            fuzzy: add texts with one typing error in the first five letters of the prefix, if there are fewer than
                `limit`. An error is a missing, additional or wrong letter (a-z, 0-9), or two swapped letters.

        Cost: one round trip, and O(levels × log n) on the server. Each frequency up to 15 is one level; above, each
            doubling is one level and is read as a whole. Short prefixes of many about equally frequent texts cost most.

        Raises:
            InvalidInputError: the prefix holds a lone surrogate, or the limit is not at least 1.
        """
        text_bytes(prefix, "prefix")
        check_k(limit, "limit")
        typed = normal_form(prefix) if self._normalize else prefix
        fades = self._fade > 0 and self._random() < self._fade
        arguments: list[Argument] = [str(limit), repr(self._random()) if fades else ""]
        for variant in [typed, *(_variants(typed) if fuzzy else ())]:
            begin = encode_bytes(variant.encode())[:-2]  # without the end mark
            arguments += [begin, after_prefix(begin) or b""]
        run = self._write if fades else self._read
        flat = run("completion_suggest", ("terms", "ranked"), *arguments)
        return [
            Suggestion(text.decode(), int(frequency))
            for text, frequency in zip(flat[::2], flat[1::2], strict=True)
        ]

    def frequencies(self, texts: Iterable[str]) -> list[int]:
        """Return the frequency of each text, 0 for an unknown text. Cost: one round trip for each 500."""
        normals = [self._normal(text) for text in _listed(texts)]
        return [
            int(frequency)
            for part in in_parts(normals, BATCH)
            for frequency, _ in self._read("completion_find", ("terms",), *part)
        ]

    def remove(self, texts: Iterable[str]) -> int:
        """Remove texts in any spelling. Returns how many existed. Cost: one round trip for each 500."""
        normals = [self._normal(text) for text in _listed(texts)]
        return sum(
            self._remove("completion_remove", ("terms", "ranked"), *part)
            for part in in_parts(normals, BATCH)
        )

    def count(self) -> int:
        """Return the number of texts. Cost: one round trip."""
        return int(self._read("entries_count", ("terms",), b"-", b"+"))

    arecord = async_version(record)
    arecord_many = async_version(record_many)
    asuggest = async_version(suggest)
    afrequencies = async_version(frequencies)
    aremove = async_version(remove)
    acount = async_version(count)

    def _normal(self, text: str) -> bytes:
        """Return the key of a text's entry: its normal form and the end mark."""
        text_bytes(text)
        normal = normal_form(text) if self._normalize else text
        if not normal:
            raise InvalidInputError(
                f"a text to complete must not be empty or accents alone, like {text!r}"
            )
        return encode_bytes(normal.encode())

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        # Remove unreadable entries first. Otherwise one could be kept as the better of two terms.
        for readable in (False, True):
            for part, offset in (("terms", 0), ("ranked", 1)):
                for flat in self._scan("ZSCAN", part):
                    arguments: list[Argument] = []
                    for entry in flat[::2]:
                        normal = self._normal_of(entry[offset:])
                        if normal is not None and readable:
                            arguments += [part, entry, normal]
                        elif normal is None and not readable:
                            arguments += [f"unreadable {part}", entry, b""]
                    checked = len(flat) // 2 if readable else 0
                    yield checked, "completion_audit", ("terms", "ranked"), arguments

    def _normal_of(self, term: bytes) -> bytes | None:
        """Return the key part of a term, or None if it is not a term."""
        try:
            _, end = decode_bytes(term)
            digits, original = term[end : end + _DIGITS], term[end + _DIGITS :].decode()
            normal = self._normal(original)
        except (*MALFORMED, InvalidInputError):
            return None
        right = len(digits) == _DIGITS and digits.isdigit() and int(digits) > 0
        return normal if right and normal == term[:end] else None


def _checked_count(count: int) -> int:
    if check_k(count, "count") > _MAX_COUNT:
        raise InvalidInputError(f"count must be at most {_MAX_COUNT}, not {count!r}")
    return count


def _listed(texts: Iterable[str]) -> list[str]:
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise InvalidInputError(f"texts must be a list, not {texts!r}")
    return list(texts)


def _variants(prefix: str) -> list[str]:
    """Return the prefixes that differ from this one by one typing error in the first letters."""
    found: dict[str, None] = {}
    for at in range(min(len(prefix), _FUZZY_LETTERS)):
        head, letter, tail = prefix[:at], prefix[at], prefix[at + 1 :]
        found[head + tail] = None
        if tail:
            found[head + tail[0] + letter + tail[1:]] = None
        for other in _LETTERS:
            found[head + other + tail] = None
            found[head + other + letter + tail] = None
    found.pop(prefix, None)
    found.pop("", None)  # the empty prefix matches all texts
    return [*found]
