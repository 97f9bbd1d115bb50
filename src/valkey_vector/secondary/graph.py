"""`PropertyGraph`: a `TripleStore` whose nodes and triples have data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import InvalidInputError
from valkey_vector.secondary._base import BATCH
from valkey_vector.secondary._encoding import decode_bytes, encode_bytes
from valkey_vector.secondary._patterns import Triple, triple_of
from valkey_vector.secondary.triples import TripleStore
from valkey_vector.storage.keyspace import in_parts

__all__ = ["PropertyGraph", "Relation"]

_ROWS = 100
"""Number of triples that one round trip removes."""


class Relation(NamedTuple):
    """Directed relation between two nodes.

    Attributes:
        subject: id of the source node.
        predicate: kind of the relation.
        object: id of the target node.
        data: any bytes; empty for none.
    """

    subject: str
    predicate: str
    object: str
    data: bytes = b""


class PropertyGraph(TripleStore[str]):
    """Graph of nodes and relations, both with data. Both ends of every relation exist, even with concurrent writers.

    The read methods of `TripleStore` read the relations: `match`, `match_any`, `join`, `paths`, `count`. `add` and
    `add_many` add relations without data. `remove` removes relations but not their nodes. Every method has an async
    version with the prefix ``a``.

    Args:
        name: name of the graph, any non-empty text.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the graph.

    Raises:
        ConfigurationError: an argument is not valid.
    """

    kind = "graph"
    parts: ClassVar[Mapping[str, str]] = {"entries": "zset", "nodes": "hash", "relations": "hash"}

    def __init__(
        self, name: str, *, url: str | None = None, connection: Connection | None = None
    ) -> None:
        super().__init__(name, url=url, connection=connection)

    def put_nodes(self, nodes: Mapping[str, bytes]) -> dict[str, bytes]:
        """Store nodes. Replaces nodes with the same ids.

        Args:
            nodes: id -> data.

        Returns:
            The previous data of nodes that existed and had data.

        Raises:
            InvalidInputError: an id is not text, or data is not bytes. Nothing was stored.

        Cost: one round trip for each 500 nodes.

        Atomicity: up to 500 nodes are stored as one step.
        """
        ids = self._members.encode_all(nodes)
        rows = [*zip(ids, map(_checked, nodes.values()), strict=True)]
        before: dict[str, bytes] = {}
        for part in in_parts(rows, BATCH):
            replies = self._write("graph_put", ("nodes",), *[text for row in part for text in row])
            for (id, _), data in zip(part, replies, strict=True):
                if data:
                    before[self._members.decode(id)] = data
        return before

    def nodes(self, ids: Iterable[str]) -> list[bytes | None]:
        """Return the data of nodes, in the same order. None for a missing node. Cost: one round trip for each 500."""
        found: list[bytes | None] = []
        for part in in_parts(self._members.encode_all(ids), BATCH):
            found += self._read("graph_get", ("nodes",), *part)
        return found

    def iterate_nodes(self) -> Iterator[dict[str, bytes]]:
        """Iterate over all nodes by id, in no particular order. A node that changes meanwhile can occur twice.

        Cost: one round trip for each 500 nodes, approximately.
        """
        for flat in self._scan("HSCAN", "nodes"):
            yield {
                self._members.decode(id): data
                for id, data in zip(flat[::2], flat[1::2], strict=True)
            }

    def remove_nodes(self, ids: Iterable[str]) -> int:
        """Remove nodes and all their relations. Returns the number of nodes that existed.

        A node is removed after its last relation, so that both ends of every relation exist at any time.

        Cost: two round trips for each 500 nodes, and two for each 100 of their relations.
        """
        removed = 0
        for part in in_parts(dict.fromkeys(self._members.encode_all(ids)), BATCH):
            waiting = part
            while waiting:
                names = [self._members.decode(id) for id in waiting]
                for triples in in_parts(self._touching(names), _ROWS):
                    self.remove(triples)
                arguments = [text for id in waiting for text in (id, encode_bytes(id))]
                outcomes = self._remove("graph_remove_nodes", ("entries", "nodes"), *arguments)
                removed += outcomes.count(1)
                # Nodes that got new relations in the meantime: remove these, too.
                waiting = [id for id, out in zip(waiting, outcomes, strict=True) if out == 2]
        return removed

    def relate(
        self,
        relations: Iterable[Relation],
        *,
        missing: Callable[[str], bytes] = lambda _: b"",
    ) -> int:
        """Add relations. Returns the number of new ones. Relations that exist are not changed.

        Args:
            relations: the relations to add.
            missing: returns the data of a node to create for an end that does not exist.

        Raises:
            InvalidInputError: a relation is not valid. Nothing was added.

        Cost: one round trip for each 500 relations.

        Atomicity: up to 500 relations are added as one step.
        """
        rows = [(self._encoded(one[:3]), _checked(one.data)) for one in relations]
        added = 0
        for part in in_parts(rows, BATCH):
            arguments: list[Argument] = []
            for (s, p, o), data in part:
                arguments += [*map(encode_bytes, (s, p, o)), data]
                for end in (s, o):
                    arguments += [end, _checked(missing(self._members.decode(end)))]
            added += self._write("graph_relate", ("entries", "nodes", "relations"), *arguments)
        return added

    def relation_data(self, triples: Iterable[Triple[str]]) -> list[bytes | None]:
        """Return the data of relations, in the same order. None for a missing relation.

        Cost: one round trip for each 500 relations.
        """
        fields = [b"".join(map(encode_bytes, self._encoded(triple))) for triple in triples]
        found: list[bytes | None] = []
        for part in in_parts(fields, BATCH):
            found += self._read("graph_get", ("relations",), *part)
        return found

    aput_nodes = async_version(put_nodes)
    anodes = async_version(nodes)
    aremove_nodes = async_version(remove_nodes)
    arelate = async_version(relate)
    arelation_data = async_version(relation_data)

    def _added(self, triples: Iterable[Triple[str]]) -> int:
        return self.relate(Relation(*triple) for triple in triples)

    def _removed(self, triples: Iterable[Triple[str]]) -> int:
        return sum(
            self._remove("graph_unrelate", ("entries", "relations"), *part)
            for part in self._parts(triples)
        )

    def _touching(self, names: Sequence[str]) -> list[Triple[str]]:
        """Fetch the relations of nodes, in both directions."""
        patterns: list[tuple[str | None, None, str | None]] = []
        for name in names:
            patterns += [(name, None, None), (None, None, name)]
        return self.match_any(patterns)

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        yield from super()._audits()
        keys = ("entries", "nodes", "relations")
        for flat in self._scan("HSCAN", "relations"):
            arguments: list[Argument] = []
            for field in flat[::2]:
                arguments += _fields(field)
            yield len(flat) // 2, "graph_audit", keys, arguments
        for flat in self._scan("ZSCAN", "entries"):
            arguments = []
            for entry in flat[::2]:
                if entry.startswith(b"s"):
                    arguments += self._ends(entry)
            yield 0, "graph_audit", keys, arguments

    def _ends(self, entry: bytes) -> list[Argument]:
        try:
            s, p, o = triple_of(entry)
        except ValueError:
            return []  # the check of the triples reports it
        terms = map(encode_bytes, (s, p, o))
        return ["t", *terms, b"", "n", s, o, b"", b""]


def _checked(data: bytes) -> bytes:
    if not isinstance(data, bytes):
        raise InvalidInputError(f"data must be bytes, not {data!r}")
    return data


def _fields(field: bytes) -> list[Argument]:
    """Arguments of the audit for a field of the relations."""
    at, ends = 0, [0]
    try:
        for _ in range(3):
            _, at = decode_bytes(field, at)
            ends.append(at)
    except ValueError:
        return ["x", field, b"", b"", b""]
    if at != len(field):
        return ["x", field, b"", b"", b""]
    return ["r", field[: ends[1]], field[ends[1] : ends[2]], field[ends[2] :], b""]
