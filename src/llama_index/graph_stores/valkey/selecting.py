"""Conditions of `get_triplets` and `delete`, with the semantics of `SimplePropertyGraphStore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from llama_index.core.graph_stores.types import LabelledNode, Relation, Triplet

from valkey_vector.secondary import PropertyGraph, Triple

__all__ = ["Wanted", "is_given"]


def is_given(condition: Sized | None) -> bool:
    """Return True unless a condition is None or empty."""
    return condition is not None and len(condition) > 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Conditions, combined with AND. None and empty conditions always hold."""

    entity_names: Sequence[str] | None = None
    relation_names: Sequence[str] | None = None
    properties: Mapping[str, Any] | None = None
    ids: Sequence[str] | None = None

    @property
    def anything(self) -> bool:
        """True if there is at least one condition."""
        return any(
            map(is_given, (self.entity_names, self.relation_names, self.properties, self.ids))
        )

    @property
    def names(self) -> list[str] | None:
        """The node ids that meet both conditions on names; None without such a condition."""
        conditions = [names for names in (self.entity_names, self.ids) if names]
        if not conditions:
            return None
        return [
            id for id in dict.fromkeys(conditions[0]) if all(id in names for names in conditions)
        ]

    def node(self, node: LabelledNode) -> bool:
        """Return True if a node has any of the properties."""
        return not self.properties or _has_any(self.properties, node)

    def triplet(self, triplet: Triplet) -> bool:
        """Return True if a relation meets every condition."""
        subject, relation, object = triplet
        ends = {subject.id, object.id}
        if self.entity_names and ends.isdisjoint(self.entity_names):
            return False
        if self.ids and ends.isdisjoint(self.ids):
            return False
        if self.relation_names and relation.id not in self.relation_names:
            return False
        return not self.properties or any(_has_any(self.properties, part) for part in triplet)

    def triples(self, graph: PropertyGraph) -> list[Triple[str]]:
        """Return candidates: all triples that meet the first condition with an index."""
        ends = self.entity_names or self.ids
        if ends:
            patterns: list[tuple[str | None, str | None, str | None]] = []
            for end in dict.fromkeys(ends):
                patterns += [(end, None, None), (None, None, end)]
            return graph.match_any(patterns)
        if self.relation_names:
            return graph.match_any(
                (None, name, None) for name in dict.fromkeys(self.relation_names)
            )
        return list(graph.iterate())


def _has_any(properties: Mapping[str, Any], owner: LabelledNode | Relation) -> bool:
    return any(owner.properties.get(key) == value for key, value in properties.items())
