"""Ranges of the documents of an attached index that match, in the order of their keys or of sort keys."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from valkey_vector.attached.attributes import NumericAttribute, attribute_name
from valkey_vector.attached.candidates import Candidates, found_in
from valkey_vector.attached.documents import Fetched, fetch
from valkey_vector.attached.encoding import encoded
from valkey_vector.attached.filters import AttributeFilter
from valkey_vector.attached.paths import is_definite
from valkey_vector.attached.reading import KEY_ONLY, Items, Reading
from valkey_vector.attached.sending import Sender
from valkey_vector.connection import Argument
from valkey_vector.engines.search.query_syntax import query_text
from valkey_vector.errors import ServerError
from valkey_vector.execution.ordering import Window, sort_items
from valkey_vector.filters.ast import Field
from valkey_vector.filters.plan import Range
from valkey_vector.query.order import OrderBy

__all__ = ["OrderedSearch"]

_FEW = 500
"""Number of documents up to which the sort values of all of them are read, in one round trip."""

_UNSORTABLE = "error converting"
"""In RediSearch's error for a stored value, such as a JSON list, that it cannot sort as a number."""

_PAGE = 250
"""Documents that are held in memory while the first ones are selected, besides as many as the range has."""

_MAX_SORTED = 1_000
"""Largest range whose documents the server selects by SORTBY."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """Sort values of a document, and its key."""

    key: bytes
    values: tuple[Any, ...]


class OrderedSearch:
    """Returns ranges of the documents that match. Thread-safe.

    Args:
        sender: sends the requests of the index.
        candidates: searches of the index without a vector.
    """

    def __init__(self, sender: Sender, candidates: Candidates) -> None:
        self._sender = sender
        self._definition = sender.definition
        self._candidates = candidates
        self._items = Items(sender.definition)

    def documents(
        self, selection: AttributeFilter, reading: Reading, keys: Sequence[bytes] | None = None
    ) -> Iterator[Fetched]:
        """Iterate over the documents that match, ordered by key.

        Args:
            selection: compiled filter.
            reading: fields to fetch of each document.
            keys: fetch only these documents, in this order. None: all.
        """
        return chain.from_iterable(self.pages(selection, reading, keys))

    def pages(
        self, selection: AttributeFilter, reading: Reading, keys: Sequence[bytes] | None = None
    ) -> Iterator[list[Fetched]]:
        """Iterate over `documents` page by page. A page has one round trip, and may be empty."""
        if keys is None:
            keys = sorted(chain.from_iterable(self._candidates.keys(selection)))
        for found in fetch(self._sender, keys, reading.needing(selection.reads)):
            yield [each for each in found if selection.matches(each.key, each.values)]

    def range(
        self, selection: AttributeFilter, window: Window, reading: Reading
    ) -> Iterator[Fetched]:
        """Iterate over the documents of a range.

        Cost:
            With sort keys, an offset, or in descending order, only the fields of the sort keys and of the filter are
            fetched of the documents outside the range. With sort keys and a limit, only the sort values of a range are
            held in memory, besides the keys of the documents.
        """
        if window.limit == 0:
            return
        fields = [order.field for order in window.orders]
        identifiers = self._items.sort_identifiers(fields)
        if window.as_stored and window.offset == 0:
            yield from islice(self.documents(selection, reading), window.limit)
            return
        ordered = self._ordered(selection, window, identifiers, window.end)
        found = self._cut(selection, window, reading, ordered)
        full = window.limit is None or len(found) == window.limit
        if window.end is not None and len(ordered) == window.end and not full:
            # Some were removed since, so the documents after them move up.
            ordered = self._ordered(selection, window, identifiers, None)
            found = self._cut(selection, window, reading, ordered)
        yield from found

    def _cut(
        self,
        selection: AttributeFilter,
        window: Window,
        reading: Reading,
        ordered: Sequence[_Entry],
    ) -> list[Fetched]:
        """Fetch the documents of a range. Documents that changed since are sorted by their new values."""
        orders = window.orders
        identifiers = self._items.sort_identifiers(order.field for order in orders)
        keys = [entry.key for entry in ordered[window.offset :]]
        found = self.documents(selection, reading.needing(identifiers), keys)
        listed = list(islice(found, window.limit))
        return sort_items(listed, orders, self._value) if orders else listed

    def _value(self, found: Fetched, field: Field) -> Any:
        if field.source == "id":
            return found.key
        return self._items.value(field.path, found.values, found.found)

    def _ordered(
        self,
        selection: AttributeFilter,
        window: Window,
        identifiers: Sequence[str],
        limit: int | None,
    ) -> list[_Entry]:
        """The first documents that match, in the order of a range; None for all."""
        orders = window.orders
        reading = KEY_ONLY.needing(identifiers)
        if not orders:
            keys = sorted(chain.from_iterable(self._candidates.keys(selection)))
            if window.newest_first:
                keys.reverse()
            there = self.documents(selection, reading, keys)
            return [_Entry(encoded(each.key), ()) for each in islice(there, limit)]
        if limit is not None:
            first = self._first_keys(selection, window, limit)
            if first is not None:
                best = self._sorted(self.documents(selection, reading, first), orders, limit)
                if len(best) == limit:
                    return best
        return self._sorted(self.documents(selection, reading), orders, limit)

    def _sorted(
        self, found: Iterable[Fetched], orders: Sequence[OrderBy], limit: int | None
    ) -> list[_Entry]:
        """Sort documents whose keys ascend. Returns the first ones, and holds at most twice as many and a page."""
        fields = [order.field for order in orders]
        positions = {field: number for number, field in enumerate(fields)}
        entries = (
            _Entry(encoded(each.key), tuple(self._value(each, field) for field in fields))
            for each in found
        )
        best: list[_Entry] = []
        while part := list(islice(entries, None if limit is None else limit + _PAGE)):
            # Later documents have greater keys, so equal ones stay ordered by key.
            best = sort_items(
                [*best, *part], orders, lambda entry, field: entry.values[positions[field]]
            )[:limit]
        return best

    def _first_keys(
        self, selection: AttributeFilter, window: Window, limit: int
    ) -> list[bytes] | None:
        """Return the ascending keys of documents that certainly include the first ones of a range; None if unknown.

        The server sorts by a numeric attribute. It reads some texts as other numbers than its index does, and stops at its
        limit on a query. So its last number is used as a bound only, and the index counts the documents before it.
        """
        attribute = self._server_order(selection, window, limit)
        query = self._candidates.query(selection) if attribute is not None else None
        if attribute is None or query is None:
            return None
        name = attribute_name(attribute)
        descending = window.orders[0].descending
        command: list[Argument] = ["FT.SEARCH", self._definition.name]
        command += [_both(query, Range(name)), "RETURN", "1", name]
        command += ["SORTBY", name, "DESC" if descending else "ASC"]
        command += ["LIMIT", "0", str(limit), "DIALECT", "2"]
        try:
            reply = self._sender.search(command)
        except ServerError as error:
            if _UNSORTABLE in error.message.lower() or not self._candidates.support.sort_by:
                return None
            raise
        keys = list(found_in(reply))
        total = int(reply[0])
        if len(keys) < limit or not _FEW < total < self._candidates.support.safe_total:
            return None  # documents without a number follow, or the server did not sort all
        there = fetch(self._sender, keys, KEY_ONLY.needing([attribute.identifier]))
        numbers = {encoded(each.key): each.values.get(name) for each in chain.from_iterable(there)}
        return self._all_before(query, name, numbers, descending=descending)

    def _all_before(
        self, query: str, name: str, numbers: dict[bytes, Any], *, descending: bool
    ) -> list[bytes] | None:
        """Return the keys of all documents up to the last of these numbers; None if others come before it."""
        try:
            known = {key: float(number) for key, number in numbers.items() if number is not None}
        except (OverflowError, TypeError):  # an integer beyond double, or several numbers
            return None
        last = (
            min(known.values(), default=math.inf)
            if descending
            else max(known.values(), default=math.inf)
        )
        if math.isinf(last):
            return None
        last += 0.0
        better = (
            Range(name, low=last, low_open=True)
            if descending
            else Range(name, high=last, high_open=True)
        )
        before = {key for key, number in known.items() if number != last}
        if self._candidates.total(_both(query, better)) != len(before):
            return None
        equal = self._candidates.all_keys(_both(query, Range(name, last, last)))
        return None if equal is None else sorted(before.union(equal))

    def _server_order(
        self, selection: AttributeFilter, window: Window, limit: int
    ) -> NumericAttribute | None:
        """The numeric attribute by which the server can select the first documents; None if it cannot."""
        if len(window.orders) != 1 or limit > _MAX_SORTED or not selection.exact:
            return None
        field = window.orders[0].field
        attribute = self._definition.attribute(field.path) if field.source == "metadata" else None
        if not isinstance(attribute, NumericAttribute) or not attribute.indexed:
            return None
        if not field.path.isidentifier() or not self._candidates.support.sort_by:
            return None
        if self._definition.on == "json" and not is_definite(attribute.identifier):
            return None
        return attribute


def _both(query: str, interval: Range) -> str:
    text = query_text(interval)
    return text if query == "*" else f"(({query}) {text})"
