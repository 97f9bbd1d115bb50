"""Aggregates and facets of the documents of an attached index, computed from the fields that they use.

The server's own counts are not used: they include expired documents, group texts by their spelling instead of by tag,
and round numbers to ten digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from valkey_vector.attached.attributes import (
    Attribute,
    NumericAttribute,
    TagAttribute,
    attribute_name,
)
from valkey_vector.attached.candidates import Candidates, Choice
from valkey_vector.attached.definition import IndexDefinition
from valkey_vector.attached.documents import Fetched
from valkey_vector.attached.filters import AttributeFilter
from valkey_vector.attached.ordering import OrderedSearch
from valkey_vector.attached.reading import KEY_ONLY, Items
from valkey_vector.attached.semantics import on_any_number, replaced, translated
from valkey_vector.errors import InvalidInputError
from valkey_vector.execution.aggregates import Facet, facets_of_rows
from valkey_vector.execution.aggregation.rows import Line
from valkey_vector.execution.aggregation.stages import run
from valkey_vector.filters.ast import And, Contains, Equal, Filter, Or, combined, fields_of
from valkey_vector.query.aggregate import (
    AggregateQuery,
    Apply,
    GroupBy,
    Step,
    Where,
    paths_of,
    reads,
)
from valkey_vector.records.metadata import MISSING

__all__ = ["Aggregation"]


class Aggregation:
    """Aggregates documents of one index. Thread-safe.

    Args:
        definition: of the index.
        candidates: searches of the index without a vector.
        documents: reads the documents that match.
    """

    def __init__(
        self, definition: IndexDefinition, candidates: Candidates, documents: OrderedSearch
    ) -> None:
        self._definition = definition
        self._candidates = candidates
        self._documents = documents
        self._items = Items(definition)

    def aggregate(
        self, query: AggregateQuery, words: Mapping[str, str] | None
    ) -> list[dict[str, Any]]:
        """Run an aggregate, and return its rows."""
        filter, steps = self._pushed_down(query)
        for step in steps:
            if unknown := reads(step) - {"id"}:
                raise InvalidInputError(
                    f"an attached index has no {min(unknown)}: name an attribute or a stored field in {step!r}"
                )
        steps = list(self._on_rows(steps))
        selection = self._candidates.selection(Choice(filter, words))
        rows = self._rows(selection, self._read(steps))
        return [dict(row.items) for row in run(rows, steps)]

    def facets(self, paths: Sequence[str], chosen: Choice, limit: int | None) -> dict[str, Facet]:
        """Count the values of items."""
        selection = self._candidates.selection(chosen)
        rows = self._rows(selection, paths)
        return facets_of_rows((row.items for row in rows), paths, limit)

    def _rows(self, selection: AttributeFilter, names: Sequence[str]) -> Iterator[Line]:
        reading = KEY_ONLY.needing(map(self._items.identifier, names))
        return (
            Line(self._row(found, names), found.key)
            for found in self._documents.documents(selection, reading)
        )

    def _row(self, found: Fetched, names: Iterable[str]) -> dict[str, Any]:
        """Items of a document, without missing ones."""
        items = {name: self._items.value(name, found.values, found.found) for name in names}
        return {name: item for name, item in items.items() if item is not MISSING}

    def _read(self, steps: Sequence[Step]) -> list[str]:
        """Items of a document that steps read; all attributes if the rows of the result are documents."""
        names: dict[str, None] = {}
        computed: set[str] = set()
        for step in steps:
            names |= dict.fromkeys(sorted(paths_of(step) - computed))
            match step:
                case GroupBy():
                    return list(names)
                case Apply(name):
                    computed.add(name)
                case _:
                    pass
        return list(dict.fromkeys([*self._items.names, *names]))

    def _pushed_down(self, query: AggregateQuery) -> tuple[Filter | None, list[Step]]:
        """The filter with the leading `Where` steps on attributes, and the remaining steps."""
        parts = [] if query.filter is None else [query.filter]
        steps = list(query.steps)
        while steps and isinstance(step := steps[0], Where) and self._is_on_attributes(step.filter):
            parts.append(step.filter)
            del steps[0]
        return combined(And, parts) if parts else None, steps

    def _is_on_attributes(self, filter: Filter) -> bool:
        names = self._items.names
        return all(
            field.source == "id" or (field.source == "metadata" and field.path in names)
            for field in fields_of(filter)
        )

    def _on_rows(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The steps, in which a filter on an attribute means its values until a step replaces them."""
        attributes: Mapping[str, Attribute] = {
            attribute_name(each): each for each in self._definition.attributes
        }
        for step in steps:
            match step:
                case Where(filter):
                    yield Where(replaced(filter, partial(_on_attributes, attributes)))
                    continue
                case GroupBy():
                    attributes = {}
                case Apply(name):
                    attributes = {known: one for known, one in attributes.items() if known != name}
                case _:
                    pass
            yield step


def _on_attributes(attributes: Mapping[str, Attribute], predicate: Filter) -> Filter:
    """Translate a predicate on an attribute into one on the item of a row: one value, or a list of several."""
    (field,) = fields_of(predicate)
    attribute = attributes.get(field.path) if field.source == "metadata" else None
    match attribute:
        case TagAttribute():
            return replaced(translated(predicate, attributes), _has_tag)
        case NumericAttribute():
            return on_any_number(translated(predicate, attributes))
        case _:
            return predicate


def _has_tag(predicate: Filter) -> Filter:
    if isinstance(predicate, Contains):
        return Or((Equal(predicate.field, predicate.value), predicate))
    return predicate
