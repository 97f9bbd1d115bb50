"""The conditions of `get_triplets` and `delete`, with the meaning that `SimplePropertyGraphStore` gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from llama_index.core.graph_stores.types import LabelledNode, Relation, Triplet

from valkey_vector.secondary import PropertyGraph, Triple

__all__ = ["Wanted", "is_given"]


def is_given(condition: Sized | None) -> bool:
    """Whether a condition is one: None and empty ones are not."""
    return condition is not None and len(condition) > 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Conditions, all of which must hold; None and empty ones always do."""

    entity_names: Sequence[str] | None = None
    relation_names: Sequence[str] | None = None
    properties: Mapping[str, Any] | None = None
    ids: Sequence[str] | None = None

    @property
    def anything(self) -> bool:
        """Whether there is a condition."""
        return any(
            map(is_given, (self.entity_names, self.relation_names, self.properties, self.ids))
        )

    @property
    def names(self) -> list[str] | None:
        """The ids of nodes that both name conditions allow; None if there is none."""
        given = [names for names in (self.entity_names, self.ids) if names]
        if not given:
            return None
        return [id for id in dict.fromkeys(given[0]) if all(id in names for names in given)]

    def node(self, node: LabelledNode) -> bool:
        """Whether a node has any of the properties."""
        return not self.properties or _has_any(self.properties, node)

    def triplet(self, triplet: Triplet) -> bool:
        """Whether a relation meets every condition."""
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
        """All triples that can meet the conditions, found by the one that is an index's."""
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
