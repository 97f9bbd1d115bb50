"""Writes stored records to an index: checks the index first, and holds a limited number of records in memory."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from valkey_vector.connection import Connection
from valkey_vector.errors import IndexMismatchError
from valkey_vector.index.index import Index
from valkey_vector.index.settings import EngineChoice
from valkey_vector.operations.transfer.values import (
    Existing,
    ExportHeader,
    LoadReport,
    Progress,
    StoredRecord,
)
from valkey_vector.records.record import WritePolicy
from valkey_vector.schema.schema import Schema
from valkey_vector.storage.catalog import Catalog, CatalogEntry
from valkey_vector.storage.sizes import estimated_size

__all__ = ["IndexLoad"]

_RECORDS = 2_000
_BYTES = 32 * 1024 * 1024
"""Records, and their bytes, that are held before they are written."""


@dataclass(slots=True)
class IndexLoad:
    """A load into one index.

    Attributes:
        connection: connection to the server.
        name: name of the index.
        header: description of the records.
        engine: engine of a new index.
        existing: what to do with a record whose id is stored already.
        progress: called after each part.
        expiring: number of written records with a time to live.
    """

    connection: Connection
    name: str
    header: ExportHeader
    engine: EngineChoice = "auto"
    existing: Existing = "overwrite"
    progress: Progress | None = None
    expiring: int = 0
    _notes: list[str] = field(default_factory=list)

    def check(self) -> CatalogEntry | None:
        """Compare an existing index with the copy. Returns its record, or None if there is no such index.

        Raises:
            IndexMismatchError: its dimension, metric, vectors or embedding model differ. Nothing was written.
        """
        entry = Catalog(self.connection, self.name).read()
        if entry is None:
            return None
        differences = _differences(entry, self.header)
        if self.engine not in ("auto", entry.engine):
            differences["engine"] = (entry.engine, self.engine)
        if differences:
            raise IndexMismatchError(self.name, differences)
        self._notes = _notes(entry.schema, self.header.schema)
        return entry

    def write(self, records: Iterable[StoredRecord]) -> LoadReport:
        """Check the index, create it if it does not exist, and write all records in their order.

        Raises:
            IndexMismatchError: see `check`. Nothing was written.
            ValkeyVectorError: see `Index.upsert`. Records before the failure are stored; loading again is safe.
        """
        begun = time.monotonic()
        index, created = self._opened()
        read = written = skipped = 0
        policy = WritePolicy.SKIP if self.existing == "skip" else WritePolicy.OVERWRITE
        for part in _parts(records):
            for (ttl, sliding), group in groupby(part, key=lambda each: (each.ttl, each.sliding)):
                listed = [each.record for each in group]
                result = index.upsert(
                    listed,
                    policy=policy,
                    ttl=None if ttl is None else ttl / 1000,
                    sliding=sliding,
                    progress=False,
                )
                written += result.written
                skipped += len(result.skipped)
                self.expiring += len(listed) if ttl is not None else 0
            read += len(part)
            if self.progress is not None:
                self.progress(read, self.header.records)
        return LoadReport(
            index=self.name,
            created=created,
            read=read,
            written=written,
            skipped=skipped,
            seconds=time.monotonic() - begun,
            notes=tuple(self._notes),
        )

    def _opened(self) -> tuple[Index, bool]:
        if self.check() is not None:
            return Index.open(self.name, connection=self.connection), False
        index = Index.open(
            self.name,
            connection=self.connection,
            schema=self.header.schema,
            engine=self.engine,
            embedding_model=self.header.embedding_model,
        )
        index.create()
        return index, True


def _parts(records: Iterable[StoredRecord]) -> Iterator[list[StoredRecord]]:
    """Parts of a limited size. Of several records with one id in a part, the last one is kept."""
    part: dict[str, StoredRecord] = {}
    size = 0
    for each in records:
        part.pop(each.record.id, None)  # a record that changed during the export may be in it twice
        part[each.record.id] = each
        size += estimated_size(each.record, 1)
        if len(part) >= _RECORDS or size >= _BYTES:
            yield list(part.values())
            part, size = {}, 0
    if part:
        yield list(part.values())


def _differences(entry: CatalogEntry, header: ExportHeader) -> dict[str, tuple[object, object]]:
    """Settings with which the records would be refused, or found by wrong distances."""
    found, wanted = entry.schema, header.schema
    pairs: dict[str, tuple[object, object]] = {
        "dimension": (found.dimension, wanted.dimension),
        "metric": (found.metric.value, wanted.metric.value),
    }
    if entry.embedding_model is not None and header.embedding_model is not None:
        pairs["embedding_model"] = (entry.embedding_model, header.embedding_model)
    named = {vector.name: (vector.dimension, vector.metric.value) for vector in found.vectors}
    for vector in wanted.vectors:
        pairs[f"vector {vector.name!r}"] = (
            named.get(vector.name),
            (vector.dimension, vector.metric.value),
        )
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _notes(found: Schema, wanted: Schema) -> list[str]:
    notes: list[str] = []
    if wanted.full_text is not None and found.full_text is None:
        notes.append("the index has no full text, so the words of the records cannot be searched")
    if found.algorithm != wanted.algorithm:
        notes.append(f"the index keeps its algorithm {found.algorithm!r}, not {wanted.algorithm!r}")
    if found.fields != wanted.fields:
        notes.append("the index keeps its declared fields, which differ from those of the copy")
    narrower = {
        name: data_type
        for name, data_type in found.data_types.items()
        if data_type not in ("FLOAT32", wanted.data_types.get(name, data_type))
    }
    for name, data_type in narrower.items():
        notes.append(f"vector {name!r} is rounded to {data_type}, the data_type of the index")
    return notes
