"""Reads an index as a stream of stored records, oldest first, in pages of a limited size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from valkey_vector.engines.base import Engine
from valkey_vector.errors import IndexNotFoundError
from valkey_vector.execution.selection import prepare_selection, record_of, select
from valkey_vector.index.handle import IndexHandle
from valkey_vector.index.index import Index
from valkey_vector.operations.opening import own_handle
from valkey_vector.operations.transfer.values import ExportHeader, StoredRecord
from valkey_vector.query.base import check_filter
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.storage.hashes import checked
from valkey_vector.storage.layout import record_fields
from valkey_vector.storage.record_version import EXPIRES, VERSION, expiry_of
from valkey_vector.storage.rows import Row, StaleIndexError

__all__ = ["IndexExport"]


class IndexExport:
    """A copy of an index that is being read.

    Records that other clients write or remove meanwhile may be in the copy or not. A record that has expired is not.

    Args:
        index: an index that exists.
        filter: only records that match. None for all.

    Attributes:
        header: description of the index.

    Raises:
        IndexNotFoundError: the index does not exist.
        FilterError: the filter is not valid.
    """

    def __init__(self, index: Index, filter: FilterLike | None = None) -> None:
        self._handle: IndexHandle = own_handle(index)
        self._filter = check_filter(filter)
        engine = self._handle.existing()
        if engine is None:
            raise IndexNotFoundError(
                f"there is no index {index.name!r} on {index.connection.settings.location}"
            )
        self._engine: Engine = engine
        self.header = ExportHeader(
            index=index.name,
            schema=engine.entry.schema,
            embedding_model=engine.entry.embedding_model,
            records=index.count(self._filter),
            filtered=filter is not None,
        )

    def pages(self) -> Iterator[list[StoredRecord]]:
        """Iterate over the records, page by page, oldest first.

        Cost: one round trip a page to read it, and one for the server's time and for times to live.

        Raises:
            IndexNotFoundError: the index was dropped or created again meanwhile.
            UnreadableRecordError: another program overwrote fields of a record.
            AuthenticationError: the user may not run PTTL, and there are records whose expiration slides.
        """
        fields = record_fields(self._engine.entry.schema, vectors=True, payloads=True)
        try:
            selection = prepare_selection(self._engine, self._filter)
            for rows in select(self._engine, selection, [*fields, VERSION, EXPIRES]):
                yield self._stored(rows, fields)
        except StaleIndexError:
            raise IndexNotFoundError(
                f"index {self._handle.name!r} was dropped or created again while it was read: begin again"
            ) from None

    def _stored(self, rows: Sequence[Row], fields: Sequence[str]) -> list[StoredRecord]:
        """The records of a page with their times to live."""
        sliding = [row.id for row in rows if row.version and expiry_of(row.version) == "s"]
        commands = [["TIME"], *(["PTTL", self._engine.entry.prefix + id] for id in sliding)]
        time, *left = checked(self._handle.connection.pipeline(commands, retry=True))
        now = int(time[0]) * 1000 + int(time[1]) // 1000
        by_key = dict(zip(sliding, left, strict=True))
        found: list[StoredRecord] = []
        for row in rows:
            slides = row.id in by_key
            ttl = by_key[row.id] if slides else _left(row, now)
            if slides and ttl == -1:
                slides, ttl = False, None  # another program removed the time to live
            if ttl is None or ttl > 0:
                found.append(StoredRecord(record_of(row, fields), ttl, slides))
        return found


def _left(row: Row, now: int) -> int | None:
    """Milliseconds until a record expires. None if it does not."""
    if row.version is not None and expiry_of(row.version) != "t":
        return None
    text = row.fields.get(EXPIRES, b"")
    return int(text) - now if text.isdigit() else None
