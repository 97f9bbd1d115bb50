"""`IndexWrites`: the methods of `Index` that write, remove, check and repair records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.index.writer import IndexWriter
from valkey_vector.query.filter_keyword import names_filter
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.records.record import Record, WritePolicy, WriteResult

if TYPE_CHECKING:
    from valkey_vector.index.report import IndexReport

__all__ = ["IndexWrites"]


@names_filter
class IndexWrites:
    """Writes of an `Index`, and its verification and repair."""

    _writer: IndexWriter

    def upsert(
        self,
        records: Iterable[Record],
        *,
        policy: WritePolicy | str = WritePolicy.OVERWRITE,
        ttl: float | None = None,
        sliding: bool = False,
        batch_size: int = 200,
        progress: bool | None = None,
        total: int | None = None,
    ) -> WriteResult:
        """Store records. Each record is written atomically and replaces all fields of an earlier one.

        Args:
            records: a list, or any iterable, which is read while it is written.
            policy: for ids that are already stored: OVERWRITE, SKIP or FAIL.
            ttl: seconds until the records expire, > 0. None keeps them.
            sliding: the time to live will be extended by PEXPIRE on the keys, so it is stored nowhere else.
            batch_size: maximum number of records in one request, >= 1. Several requests run at a time.
            progress: show a progress bar. None shows one on a terminal if there is more than one batch.
            total: number of records, for the progress bar, if `records` has no length.

        Raises:
            InvalidInputError: a record is not valid, or an id occurs twice. Nothing of a list was written.
            DuplicateIdError: the policy is FAIL and ids are already stored. Nothing of a list was written.
            PartialWriteError: some records were not written. Names them.
        """
        return self._writer.upsert(
            records,
            policy=policy,
            ttl=ttl,
            sliding=sliding,
            batch_size=batch_size,
            progress=progress,
            total=total,
        )

    def delete(self, ids: Sequence[str]) -> int:
        """Remove records by id. Returns how many were stored. An empty list removes nothing."""
        return self._writer.delete(ids)

    def delete_by_filter(self, filter: FilterLike) -> int:
        """Remove the records that match. Returns how many there were."""
        return self._writer.delete_by_filter(filter)

    def delete_all(self) -> int:
        """Remove every record and keep the index. Returns how many there were."""
        return self._writer.delete_all()

    def update_metadata(self, which: FilterLike | Sequence[str], changes: Mapping[str, Any]) -> int:
        """Set metadata keys of records. Other keys, the text, the vector and the time to live stay.

        Atomicity: each record is changed atomically. A record that another client changes at the same time is read
        again.

        Args:
            which: a filter, or a list of ids.
            changes: keys and new values. A key with the value None counts as missing.

        Returns:
            The number of records changed.

        Raises:
            InvalidInputError: a value cannot be stored. Nothing was changed.
        """
        return self._writer.update_metadata(which, changes)

    def verify(self, *, examples: int = 10, progress: bool | None = None) -> IndexReport:
        """Check every key under the index's prefix and everything stored about the index. Changes no record.

        Other clients may write at the same time. `docs/servers.md` lists the problems that can be found.

        Args:
            examples: problems of each kind to report one by one, >= 0. All are counted.
            progress: show a progress bar. None shows one on a terminal if there is more than one page of records.
        """
        return self.repair(examples=examples, progress=progress)

    def repair(
        self,
        *,
        dry_run: bool = True,
        remove_orphans: bool = False,
        remove_damaged: bool = False,
        examples: int = 10,
        progress: bool | None = None,
    ) -> IndexReport:
        """`verify` the index, and repair the problems unless `dry_run` is True.

        Other clients may write at the same time: a record is changed only if it is unchanged since it was checked.
        Keys of other programs are never changed.

        Args:
            dry_run: change nothing, and report what would be repaired.
            remove_orphans: also remove documents of dropped indexes of this name that no `drop` was to remove.
            remove_damaged: remove vectors of a wrong size, or with infinite or missing numbers, from their records, and
                remove records that cannot be read.
            examples: problems of each kind to report one by one, >= 0. All are counted.
            progress: show a progress bar. None shows one on a terminal if there is more than one page of records.

        Raises:
            ConfigurationError: `examples` is negative.
        """
        return self._writer.repair(not dry_run, remove_orphans, remove_damaged, examples, progress)

    aupsert = async_version(upsert)
    adelete = async_version(delete)
    adelete_by_filter = async_version(delete_by_filter)
    adelete_all = async_version(delete_all)
    aupdate_metadata = async_version(update_metadata)
    averify = async_version(verify)
    arepair = async_version(repair)
