"""`IndexWriter`: stores, updates and removes records of an index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from valkey_vector.engines.base import Engine
from valkey_vector.execution.selection import delete, prepare_selection
from valkey_vector.filters.ast import Filter
from valkey_vector.index.bulk import BulkWriter
from valkey_vector.index.handle import IndexHandle
from valkey_vector.index.metadata_updates import MetadataUpdate
from valkey_vector.index.unmatched_filters import explained
from valkey_vector.query.filter_like import FilterLike, as_filter
from valkey_vector.records.record import Record, WritePolicy, WriteResult
from valkey_vector.records.validation import check_ids

if TYPE_CHECKING:
    from valkey_vector.index.report import IndexReport

__all__ = ["IndexWriter"]


class IndexWriter:
    """Writes to one index.

    Args:
        handle: handle of the index.
    """

    def __init__(self, handle: IndexHandle) -> None:
        self._handle = handle

    def upsert(
        self,
        records: Iterable[Record],
        *,
        policy: WritePolicy | str,
        ttl: float | None,
        sliding: bool,
        batch_size: int,
        progress: bool | None,
        total: int | None,
    ) -> WriteResult:
        """Store records; see `Index.upsert`."""
        writer = BulkWriter(
            self._handle,
            policy=WritePolicy.parse(policy),
            ttl=ttl,
            sliding=sliding,
            batch_size=batch_size,
            progress=progress,
        )
        return writer.write(records, total)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove records by id. Returns the number of removed records."""
        wanted = list(dict.fromkeys(check_ids(ids)))
        return self._handle.read(lambda engine: engine.delete(wanted), 0) if wanted else 0

    def delete_by_filter(self, filter: FilterLike) -> int:
        """Remove the records that match. Returns their number."""
        return self._delete_matching(as_filter(filter))

    def delete_all(self) -> int:
        """Remove all records. Returns their number."""
        return self._delete_matching(None)

    def _delete_matching(self, chosen: Filter | None) -> int:
        def remove(engine: Engine) -> int:
            removed = delete(engine, prepare_selection(engine, chosen))
            return explained(self._handle, engine, chosen, removed)

        return self._handle.read(remove, 0)

    def update_metadata(self, which: FilterLike | Sequence[str], changes: Mapping[str, Any]) -> int:
        """Set metadata keys of records; see `Index.update_metadata`."""
        update = MetadataUpdate(self._handle, changes)
        if isinstance(which, Sequence):
            wanted = check_ids(which)
            return self._handle.read(lambda engine: update.of_ids(engine, wanted), 0)
        chosen = as_filter(which)

        def change(engine: Engine) -> int:
            changed = update.of_matching(engine, chosen)
            return explained(self._handle, engine, chosen, changed)

        return self._handle.read(change, 0)

    def repair(
        self,
        mend: bool,
        remove_orphans: bool,
        remove_damaged: bool,
        examples: int,
        progress: bool | None,
    ) -> IndexReport:
        """Verify the index, and repair it if `mend` is True; see `Index.repair`."""
        from valkey_vector.index.verification import Options, check_index

        options = Options(mend, remove_orphans, remove_damaged, examples, progress)
        return check_index(self._handle, options)
