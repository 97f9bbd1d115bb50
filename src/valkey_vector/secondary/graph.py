"""`PropertyGraph`: a `TripleStore` whose subjects and objects are nodes with data, and whose triples have data."""

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
"""Triples of one node that are removed in a round trip."""


class Relation(NamedTuple):
    """A directed relation between two nodes.

    Attributes:
        subject: id of the node that it leaves.
        predicate: its kind.
        object: id of the node that it enters.
        data: anything; empty for none.
    """

    subject: str
    predicate: str
    object: str
    data: bytes = b""


class PropertyGraph(TripleStore[str]):
    """Nodes and relations, each with data of its own. Every end of a relation is a node, whatever writers do at once.

    All that reads a `TripleStore` reads the relations: `match`, `match_any`, `join`, `paths`, `count`. `add` and `add_many`
    add relations without data, `remove` removes relations and leaves their nodes. Every method has an async version named
    with a leading ``a``.

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
        """Store nodes, in place of those with the same ids. One round trip for each 500, each atomic.

        Args:
            nodes: data by id.

        Returns:
            The data of those that were there before, where it was not empty.

        Raises:
            InvalidInputError: an id is not text, or data is not bytes; nothing was stored.
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
        """The data of nodes, in that order; None for one that is not there. One round trip for each 500."""
        found: list[bytes | None] = []
        for part in in_parts(self._members.encode_all(ids), BATCH):
            found += self._read("graph_get", ("nodes",), *part)
        return found

    def iterate_nodes(self) -> Iterator[dict[str, bytes]]:
        """All nodes by id, about 500 in a round trip, in no order; one that changes meanwhile may come twice."""
        for flat in self._scan("HSCAN", "nodes"):
            yield {
                self._members.decode(id): data
                for id, data in zip(flat[::2], flat[1::2], strict=True)
            }

    def remove_nodes(self, ids: Iterable[str]) -> int:
        """Remove nodes and all their relations; returns how many nodes were there.

        A node goes when its last relation is gone, so that no relation ever lacks an end. Two round trips for each 500
        nodes, and two for each 100 relations of theirs.
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
                # A writer that related one meanwhile comes first: its relation goes, too.
                waiting = [id for id, out in zip(waiting, outcomes, strict=True) if out == 2]
        return removed

    def relate(
        self,
        relations: Iterable[Relation],
        *,
        missing: Callable[[str], bytes] = lambda _: b"",
    ) -> int:
        """Add relations. Returns the number of new ones. Cost: one round trip for each 500, each atomic.

        A relation that is there is left as it is.

        Args:
            relations: what to add.
            missing: the data of a node to make for an end that is not there.

        Raises:
            InvalidInputError: a relation is not valid; nothing was added.
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
        """The data of relations, in that order; None for one that is not there. One round trip for each 500."""
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
        """The relations of some nodes, in either direction."""
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
            return []  # the triples' own check reports it
        terms = map(encode_bytes, (s, p, o))
        return ["t", *terms, b"", "n", s, o, b"", b""]


def _checked(data: bytes) -> bytes:
    if not isinstance(data, bytes):
        raise InvalidInputError(f"data must be bytes, not {data!r}")
    return data


def _fields(field: bytes) -> list[Argument]:
    """A field of the relations, as the audit takes it."""
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
