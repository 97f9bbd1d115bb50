"""Finds out why the search module did not index documents, of own indexes and of those of other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from valkey_vector.attached.attributes import ELEMENT_TYPES, VectorAttribute
from valkey_vector.attached.description import IndexDescription, parse_local
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.batches import in_batches
from valkey_vector.engines.search.commands import index_is_missing
from valkey_vector.errors import ServerError
from valkey_vector.operations.doctor.findings import Finding, error, note, warning
from valkey_vector.records.amounts import counted
from valkey_vector.records.vectors import element_size

__all__ = ["check_foreign_index", "describe_everywhere", "judge_description", "wrong_vectors"]

_EXAMINED = 10_000
"""Keys that are looked at to find the cause of a failure."""

_SAMPLE = 100
_BATCH = 500
_EXAMPLES = 3
_LONG_QUEUE = 1000


def describe_everywhere(
    connection: Connection, server_name: str
) -> dict[str, IndexDescription | None]:
    """Describe an index on each primary; None for a node that does not have it.

    Raises:
        AuthenticationError: the user may not run FT.INFO, or lacks the keys of the index.
    """
    command = ("FT.INFO", server_name)
    (reply,) = connection.pipeline([command], retry=True)
    first = _described(reply)
    if first is None or not connection.capabilities.cluster:
        return {connection.settings.location: first}
    # GLIDE cannot combine the replies of several nodes to FT.INFO, so each node is queried by itself.
    nodes = [node.decode() for node in connection.execute_on_primaries("TIME", retry=True)]
    return {node: _described_by(connection, node, command) for node in nodes}


def _described_by(
    connection: Connection, node: str, command: Sequence[str]
) -> IndexDescription | None:
    try:
        return parse_local(connection.execute_on(node, *command))
    except ServerError as failed:
        return _described(failed)


def _described(reply: object) -> IndexDescription | None:
    if not isinstance(reply, ServerError):
        return parse_local(reply)
    if index_is_missing(reply.message):
        return None
    raise reply


def judge_description(name: str, described: IndexDescription) -> list[Finding]:
    """Judge how far the search module is with an index."""
    findings: list[Finding] = []
    if described.backfill.in_progress and described.backfill.share < 1:
        what = f"{described.backfill.share:.0%} of the documents that are older than the index are searchable so far"
        cure = "wait: Index.wait_until_indexed() returns when all are"
        findings.append(note("index.backfill", name, what, cure))
    if described.queue > _LONG_QUEUE:
        what = f"{described.queue:,} writes are not indexed yet"
        findings.append(
            note("index.queue", name, what, "write more slowly, or raise search.writer-threads")
        )
    return findings


def wrong_vectors(
    connection: Connection,
    name: str,
    prefixes: Sequence[str],
    vectors: Mapping[str, tuple[int, str]],
    failures: int,
) -> list[Finding]:
    """Look for documents whose vectors have a wrong size, which the search module counts as failures.

    Args:
        connection: to the server.
        name: name of the index.
        prefixes: prefixes of its documents.
        vectors: hash fields of its vectors, each with its dimension and element type.
        failures: number of failures that the module counts.

    Cost: one round trip for 500 of the first 10,000 keys under the prefixes.
    """
    examples: list[str] = []
    wrong = 0
    for keys in in_batches(_keys(connection, prefixes, _EXAMINED), _BATCH):
        for field, (dimension, data_type) in vectors.items():
            commands: list[list[Argument]] = [["HSTRLEN", key, field] for key in keys]
            for key, size in zip(keys, connection.pipeline(commands, retry=True), strict=True):
                if not isinstance(size, int) or size in (0, dimension * element_size(data_type)):
                    continue
                wrong += 1
                examples.append(
                    f"{_text(key)!r}: {field} has {_length(size, data_type)} instead of {dimension}"
                )
    if wrong:
        what = f"no search finds {counted(wrong, 'document')} with a vector of a wrong size ({'; '.join(examples[:_EXAMPLES])})"
        cure = "write them again with the model that the index was created for, or create an index of their dimension"
        return [error("index.wrong_dimension", name, what, cure)]
    what = f"the search module could not index {counted(failures, 'document or field', 'documents or fields')} since the index was created; those stored now have vectors of the right size"
    cure = f"valkey-vector verify {name} finds records that are not indexed; the others have been corrected or removed"
    return [note("index.indexing_failures", name, what, cure)]


def check_foreign_index(connection: Connection, name: str) -> list[Finding] | None:
    """Check an index that another program created. None if the search module has no such index.

    Raises:
        AuthenticationError: the user may not describe it.
    """
    described = describe_everywhere(connection, name)
    present = [each for each in described.values() if each is not None]
    if not present:
        return None
    definition = present[0].definition
    findings = [finding for each in present for finding in judge_description(name, each)]
    vectors = {
        each.identifier: (each.dimension, each.data_type)
        for each in definition.attributes
        if isinstance(each, VectorAttribute) and each.data_type in ELEMENT_TYPES
    }
    prefixes = definition.prefixes or ("",)
    failures = sum(each.failures for each in present)
    if failures and definition.on == "hash":
        findings += wrong_vectors(connection, name, prefixes, vectors, failures)
    if not failures:
        empty = not any(each.documents for each in present)
        missing = _why_empty(connection, name, prefixes, definition.on, list(vectors))
        if missing is not None and (empty or missing.code == "index.no_vector_field"):
            findings.append(missing)
    return findings


def _why_empty(
    connection: Connection, name: str, prefixes: Sequence[str], kind: str, vectors: Sequence[str]
) -> Finding | None:
    """Find out why an index has no documents, or none with a vector. Looks at the first 100 keys."""
    shown = ", ".join(f"{prefix}*" for prefix in prefixes)
    keys = _keys(connection, prefixes, _SAMPLE)
    if not keys:
        what = f"the index has no documents, and no key matches its prefixes {shown}"
        cure = "check the prefix of the index against the keys that the program writes, and the database"
        return error("index.no_matching_keys", name, what, cure)
    types = connection.pipeline([["TYPE", key] for key in keys], retry=True)
    found = sorted({_text(each) for each in types if not isinstance(each, ServerError)})
    expected = "hash" if kind == "hash" else "ReJSON-RL"
    if expected not in found:
        what = f"the index is over {kind} documents, and the keys {shown} are of the type {', '.join(found)}"
        cure = f"create the index over the type that the program writes, or write {kind} documents"
        return error("index.wrong_type", name, what, cure)
    if kind == "hash" and vectors:
        sizes = connection.pipeline([["HSTRLEN", k, f] for k in keys for f in vectors], retry=True)
        if not any(isinstance(size, int) and size for size in sizes):
            what = f"the first documents {shown} have none of the index's vector fields ({', '.join(vectors)})"
            cure = "create the index over the field that the program writes"
            return error("index.no_vector_field", name, what, cure)
    what = f"the index has no documents, although keys match its prefixes {shown}"
    return warning("index.empty", name, what, "wait for the backfill, and read the server's log")


def _keys(connection: Connection, prefixes: Sequence[str], limit: int) -> list[bytes]:
    """The first keys under prefixes."""
    found: dict[bytes, None] = {}
    for prefix in prefixes:
        pattern = "".join(f"\\{c}" if c in "*?[]\\" else c for c in prefix)
        keys = (key for page in connection.scan(f"{pattern}*") for key in page)
        found.update(dict.fromkeys(islice(keys, limit)))
    return list(found)[:limit]


def _length(size: int, data_type: str) -> str:
    numbers, rest = divmod(size, element_size(data_type))
    return counted(size, "byte") if rest else counted(numbers, "number")


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
