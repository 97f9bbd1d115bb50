"""Export an index to a file, load it from a file, and migrate it from one server to another."""

from __future__ import annotations

import time
from collections.abc import Iterator

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Connection
from valkey_vector.errors import InvalidInputError
from valkey_vector.index.index import Index
from valkey_vector.index.settings import EngineChoice
from valkey_vector.operations.transfer.files import Source, Target, reading, writing
from valkey_vector.operations.transfer.lines import (
    decode_header,
    decode_records,
    encode_end,
    encode_header,
    encode_record,
)
from valkey_vector.operations.transfer.reading import IndexExport
from valkey_vector.operations.transfer.values import (
    Existing,
    ExportReport,
    LoadReport,
    MigrationReport,
    Progress,
    StoredRecord,
    check_existing,
)
from valkey_vector.operations.transfer.writing import IndexLoad
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.storage.catalog import Catalog, check_index_name

__all__ = [
    "aexport_index",
    "aload_index",
    "amigrate_index",
    "export_index",
    "load_index",
    "migrate_index",
]


def export_index(
    index: Index,
    target: Target,
    *,
    filter: FilterLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Write an index to a file of JSON Lines, with every part of each record, in the order of creation.

    Args:
        index: an index that exists. Records that other clients write meanwhile may be in the file or not.
        target: path of the file, compressed with gzip if it ends with ``.gz``; or an open binary stream. A file gets its
            name only when it is complete.
        filter: only records that match.
        overwrite: replace the file if it exists.
        progress: called after each page.

    Cost: two round trips for each page of up to 1,000 records. One page is in memory.

    Raises:
        IndexNotFoundError: the index does not exist, or was dropped or created again meanwhile.
        UnreadableRecordError: another program overwrote fields of a record: `repair` the index first.
        ConfigurationError: the file exists, or cannot be written.
    """
    begun = time.monotonic()
    export = IndexExport(index, filter)
    records = 0
    with writing(target, overwrite=overwrite) as file:
        file.write(encode_header(export.header))
        for page in export.pages():
            file.writelines(map(encode_record, page))
            records += len(page)
            if progress is not None:
                progress(records, export.header.records)
        file.write(encode_end(records))
    return ExportReport(index=index.name, records=records, seconds=time.monotonic() - begun)


aexport_index = async_version(export_index)


def load_index(
    connection: Connection,
    source: Source,
    name: str | None = None,
    *,
    engine: EngineChoice = "auto",
    existing: Existing = "overwrite",
    progress: Progress | None = None,
) -> LoadReport:
    """Write the records of a file that `export_index` wrote to an index, which is created if it does not exist.

    Loading a file again is safe: the same records are overwritten, or with `existing="skip"` left as they are, which
    resumes an interrupted load. A record gets the time to live that it had left when it was exported.

    Args:
        connection: to the server. The engine may be another one than that of the export.
        source: path of the file, or an open binary stream.
        name: name of the index. None for the name in the file.
        engine: engine of a new index.
        existing: what to do with a record whose id is stored already: ``overwrite`` or ``skip``.
        progress: called after each part.

    Atomicity: each record.

    Cost: that of `Index.upsert`. Records whose time to live is not that of the record before need a write of their own.

    Raises:
        InvalidInputError: the file is not complete or not valid. Of an uncompressed file that is not complete, and of a
            file with a wrong header, nothing was written.
        IndexMismatchError: the index has another dimension, metric or embedding model, or lacks a vector. Nothing was
            written.
        ConfigurationError: the file cannot be read, or the name is not valid.
        PartialWriteError: some records were not written. Names them.
    """
    check_existing(existing)
    with reading(source) as lines:
        header = decode_header(next(lines, b""))
        load = IndexLoad(
            connection,
            check_index_name(header.index if name is None else name),
            header,
            engine,
            existing,
            progress,
        )
        return load.write(decode_records(lines))


aload_index = async_version(load_index)


def migrate_index(
    index: Index,
    target: Connection,
    name: str | None = None,
    *,
    filter: FilterLike | None = None,
    engine: EngineChoice = "auto",
    existing: Existing = "overwrite",
    progress: Progress | None = None,
) -> MigrationReport:
    """Copy an index to another server, or to another name, and compare the counts.

    Args:
        index: the index to copy. It stays as it is.
        target: connection to the server of the copy.
        name: name of the copy. None for the same name.
        filter: copy only records that match.
        engine: engine of a new index.
        existing: what to do with a record whose id is stored already: ``overwrite`` or ``skip``.
        progress: called after each part.

    Returns:
        The counts. `MigrationReport.ok` says whether they agree. If other clients write meanwhile, they may not.

    Raises:
        InvalidInputError: source and target are one index.
        IndexMismatchError, IndexNotFoundError: see `load_index` and `export_index`. Nothing was written.
    """
    check_existing(existing)
    export = IndexExport(index, filter)
    load = IndexLoad(
        target,
        check_index_name(index.name if name is None else name),
        export.header,
        engine,
        existing,
        progress,
    )
    entry = load.check()
    source = Catalog(index.connection, index.name).read()
    if entry is not None and source is not None and entry.generation == source.generation:
        raise InvalidInputError(
            f"source and target are one index, {index.name!r}: name another server or another index"
        )
    copy = Index.open(load.name, connection=target)
    before = copy.count() if entry is not None else 0
    report = load.write(_records(export))
    return MigrationReport(
        load=report,
        source=index.count(filter),
        before=before,
        after=copy.count(),
        expiring=load.expiring,
    )


amigrate_index = async_version(migrate_index)


def _records(export: IndexExport) -> Iterator[StoredRecord]:
    for page in export.pages():
        yield from page
