"""Checks the indexes of this library: their records, what the search module has of them, and their documents."""

from __future__ import annotations

from dataclasses import dataclass

from valkey_vector.attached.description import IndexDescription
from valkey_vector.connection import Connection
from valkey_vector.engines.lost_records import generations_in, lineages_of, traces_of
from valkey_vector.errors import (
    AuthenticationError,
    ConfigurationError,
    ServerError,
    UnreadableRecordError,
)
from valkey_vector.index.index import Index
from valkey_vector.index.report import IndexReport, ProblemKind
from valkey_vector.operations.doctor.documents import (
    describe_everywhere,
    judge_description,
    wrong_vectors,
)
from valkey_vector.operations.doctor.findings import (
    Finding,
    RecallMeasure,
    Severity,
    error,
    note,
    warning,
)
from valkey_vector.operations.doctor.recall import MAX_COMPARED, judge_recall, measure_recall
from valkey_vector.records.amounts import counted
from valkey_vector.schema.schema import Flat, Hnsw
from valkey_vector.storage.catalog import Catalog, CatalogEntry, vector_name

__all__ = ["IndexOptions", "check_own_index"]

_VERIFIED = 10_000
"""Documents up to which an index is verified without a request."""

_LARGE_FLAT = 100_000

_PROBLEMS: dict[ProblemKind, tuple[str, Severity]] = {
    "stale generation": ("index.stale_generation", Severity.WARNING),
    "unfinished removal": ("index.unfinished_removal", Severity.WARNING),
    "orphan": ("index.orphans", Severity.WARNING),
    "expired": ("index.expired_documents", Severity.WARNING),
    "unreadable": ("index.unreadable_documents", Severity.ERROR),
    "damaged vector": ("index.damaged_vectors", Severity.ERROR),
    "wrong field": ("index.wrong_fields", Severity.ERROR),
    "stale field": ("index.stale_fields", Severity.WARNING),
    "missing": ("index.missing_documents", Severity.ERROR),
    "stale entry": ("index.stale_entries", Severity.WARNING),
    "count": ("index.count", Severity.WARNING),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """Options for the check of indexes.

    Attributes:
        deep: verify every document of indexes of any size. None verifies indexes of up to 10,000 documents.
        recall: measure the recall of HNSW indexes of up to 20,000 documents.
    """

    deep: bool | None = None
    recall: bool = True


@dataclass(slots=True)
class IndexCheck:
    """The result of checking one index: what was found, measured, and left out."""

    findings: list[Finding]
    skipped: list[str]
    recall: tuple[RecallMeasure, ...] = ()


def check_own_index(connection: Connection, name: str, options: IndexOptions) -> IndexCheck | None:
    """Check an index of this library. Changes nothing.

    Returns:
        The result, or None if nothing on the server belongs to an own index of this name.

    Raises:
        ConnectionLostError, RequestTimeoutError: an outage.
    """
    result = IndexCheck([], [])
    catalog = Catalog(connection, name)
    try:
        entry, noted = catalog.look()
    except AuthenticationError as refused:
        result.skipped.append(f"index {name}: {refused}")
        return result
    except (ConfigurationError, UnreadableRecordError) as failed:
        if isinstance(failed, ConfigurationError):
            finding = error("index.newer_format", name, str(failed), "upgrade valkey-vector")
        else:
            cure = "restore the key from a backup"
            finding = error("index.record_unreadable", name, str(failed), cure)
        result.findings.append(finding)
        return result
    except ServerError as failed:
        if "WRONGTYPE" not in failed.message:
            raise
        what = f"the key {catalog.key!r} of another program stands where the index's record belongs"
        cure = "rename or delete that key, or use another index name"
        result.findings.append(error("index.foreign_record", name, what, cure))
        return result
    if entry is not None:
        _check_existing(connection, entry, options, result)
        return result
    result.findings += _remains(connection, catalog, noted=noted)
    return result if result.findings else None


def _remains(connection: Connection, catalog: Catalog, *, noted: bool) -> list[Finding]:
    """Return findings on the remains of an index that does not exist."""
    name = catalog.name
    if noted:
        if catalog.removals():
            what = "the index was dropped, and the removal of its documents was interrupted"
            return [
                warning(
                    "index.unfinished_removal",
                    name,
                    what,
                    f"valkey-vector repair {name} --yes, after creating it again, or Index.drop() again",
                )
            ]
        what = "the index was dropped with documents=False: its documents are still stored, and no search finds them"
        cure = "create the index again with the same settings to find them, and drop() it to remove them"
        return [warning("index.documents_left", name, what, cure)]
    if traces_of(connection, name) or lineages_of(connection, name, first=True):
        what = f"the record of the index, the key {catalog.key!r}, is gone, but documents or a search index of it exist: it was evicted or deleted"
        cure = "set maxmemory-policy to noeviction; restore the key from a backup, or drop() the index and write again"
        return [error("index.record_lost", name, what, cure)]
    return []


def _check_existing(
    connection: Connection, entry: CatalogEntry, options: IndexOptions, result: IndexCheck
) -> None:
    capabilities, name = connection.capabilities, entry.name
    if entry.engine == "search":
        if not capabilities.has_search:
            what = "the index was created with a search module, which this server does not have"
            cure = "load the module again, or connect to the server that has it"
            result.findings.append(error("index.no_module", name, what, cure))
            return
        if not _check_search_index(connection, entry, result):
            return  # opening the index would create it again
    elif capabilities.has_search:
        what = "the index uses the native engine, although the server has a search module"
        cure = "to use the module: write the records into a new index, which uses it"
        result.findings.append(note("index.native_with_module", name, what, cure))
    try:
        _check_documents(Index.open(name, connection=connection), entry, options, result)
    except AuthenticationError as refused:
        result.skipped.append(f"documents of index {name}: {refused}")


def _check_search_index(connection: Connection, entry: CatalogEntry, result: IndexCheck) -> bool:
    """Check what the search module has of an index. Returns False if it cannot be searched."""
    name = entry.name
    try:
        described = describe_everywhere(connection, entry.search_index)
    except AuthenticationError as refused:
        result.skipped.append(f"search index of {name}: {refused}")
        return False
    if all(each is None for each in described.values()):
        what = f"the search module has no index {entry.search_index!r}: another client dropped it. Searches recreate it, or fail without the permission"
        cure = f"as an administrator, call Index.open({name!r}).create(): it indexes the stored documents again"
        result.findings.append(error("index.search_index_missing", name, what, cure))
        return False
    differences: list[Finding] = []
    for node, description in described.items():
        if description is None:
            what = f"the node {node} does not have the index"
            cure = (
                "the node fetches the index from the others within 40 seconds, if the coordinator's port is open between "
                f"them. If it does not, run `FT.DROPINDEX {entry.search_index}` on another node: the next search of an "
                "administrator creates the index again over its documents. Then run BGREWRITEAOF on every node"
            )
            result.findings.append(error("index.missing_on_node", name, what, cure))
        else:
            result.findings += judge_description(name, description)
            differences += _differences(entry, description)
    result.findings += differences
    if differences:
        return False
    failures = sum(each.failures for each in described.values() if each is not None)
    if failures:
        sizes = {
            vector_name(each.name): (each.dimension, each.data_type)
            for each in entry.schema.vector_fields
        }
        result.findings += wrong_vectors(connection, name, [entry.prefix], sizes, failures)
    try:
        listed = connection.execute("FT._LIST", retry=True)
    except AuthenticationError as refused:
        result.skipped.append(f"search indexes of dropped indexes: {refused}")
        return True
    for generation in sorted(generations_in(listed, name) - {entry.search_generation}):
        what = f"the search module still has {name}-{generation}, of a dropped index: it uses memory and slows down writes"
        cure = f"valkey-vector repair {name} --yes"
        result.findings.append(warning("index.stale_generation", name, what, cure))
    return True


def _differences(entry: CatalogEntry, described: IndexDescription) -> list[Finding]:
    """Compare the definition in the search module with the index's record."""
    schema = entry.schema
    main = described.definition.attribute(vector_name("vector"))
    found = (
        getattr(main, "dimension", None),
        str(getattr(main, "metric", "")),
        getattr(main, "data_type", ""),
    )
    expected = (schema.dimension, str(schema.metric), schema.data_type)
    if found == expected:
        return []
    what = f"the search index has dimension, metric and data_type {found}, and the record of the index says {expected}: another client recreated it"
    cure = f"drop {described.definition.name} with FT.DROPINDEX, then call Index.open({entry.name!r}).create()"
    return [error("index.definition_differs", entry.name, what, cure)]


def _check_documents(
    index: Index, entry: CatalogEntry, options: IndexOptions, result: IndexCheck
) -> None:
    name, documents = index.name, index.count()
    if not documents:
        what = "the index has no documents: every search returns nothing"
        cure = "write documents; check the name, the database and the server of the program that wrote them"
        result.findings.append(note("index.empty", name, what, cure))
    algorithm = entry.schema.algorithm
    if isinstance(algorithm, Flat) and entry.engine == "search" and documents > _LARGE_FLAT:
        what = f"FLAT compares all {documents:,} vectors for each search"
        cure = "write the records into an index with algorithm='HNSW'"
        result.findings.append(warning("index.large_flat", name, what, cure))
    if options.deep or (options.deep is None and documents <= _VERIFIED):
        result.findings += _verified(index.verify(examples=3, progress=False))
    elif options.deep is None:
        result.skipped.append(
            f"documents of index {name}: {documents:,} of them; deep=True verifies them all"
        )
    if options.recall and entry.engine == "search" and isinstance(algorithm, Hnsw):
        if documents <= MAX_COMPARED:
            result.recall = measure_recall(index, entry.schema)
            result.findings += judge_recall(result.recall)
        else:
            result.skipped.append(
                f"recall of index {name}: it has more than {MAX_COMPARED:,} documents"
            )


def _verified(report: IndexReport) -> list[Finding]:
    """Turn the problems of a report into findings."""
    findings: list[Finding] = []
    for problem in report.findings:
        code, severity = _PROBLEMS[problem.kind]
        options = {
            "orphan": " --remove-orphans",
            "damaged vector": " --remove-damaged",
            "unreadable": " --remove-damaged",
        }
        findings.append(
            Finding(
                code=code,
                severity=severity,
                subject=report.index,
                what=f"{problem.kind}: {problem.found} ({'; '.join(problem.examples)})",
                cure=f"valkey-vector repair {report.index} --yes{options.get(problem.kind, '')}",
            )
        )
    if report.foreign:
        what = (
            f"{counted(report.foreign, 'key')} of other programs under the prefix {report.index}:"
        )
        cure = "rename those keys, or give the index another name; reads ignore them, and they are never changed"
        findings.append(warning("index.foreign_keys", report.index, what, cure))
    return findings
