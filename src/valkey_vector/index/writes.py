"""What an index is told: records to store, to change and to remove."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.engines.base import Engine
from valkey_vector.execution import selection as answering
from valkey_vector.index.bulk import BulkWriter
from valkey_vector.index.handle import Lifecycle
from valkey_vector.index.metadata_updates import MetadataUpdate
from valkey_vector.records.record import Record, WritePolicy, WriteResult
from valkey_vector.records.validation import FilterLike, as_filter, check_ids

__all__ = ["WritableIndex"]


class WritableIndex:
    """The writing half of `valkey_vector.Index`.

    Args:
        lifecycle: of the index.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def upsert(
        self,
        records: Iterable[Record],
        *,
        policy: WritePolicy | str = WritePolicy.OVERWRITE,
        ttl: float | None = None,
        sliding: bool = False,
        batch_size: int = 100,
        progress: bool | None = None,
        total: int | None = None,
    ) -> WriteResult:
        """Store records, each atomically and with all its fields replaced.

        Args:
            records: a list, or any iterable, which is read as it is written.
            policy: what to do with ids that are stored already: OVERWRITE, SKIP or FAIL.
            ttl: seconds until these records are gone; None keeps them.
            sliding: their time to live will be prolonged, by PEXPIRE on their keys: it is noted nowhere else.
            batch_size: records in one request; several requests are under way at a time.
            progress: show a bar; None shows one on a terminal if there is more than one batch.
            total: how many records there are, for the bar, if `records` cannot tell.

        Raises:
            InvalidInputError: a record is not acceptable, or an id occurs twice. Of a list nothing was written.
            DuplicateIdError: the policy is FAIL and ids are stored already. Of a list nothing was written.
            PartialWriteError: some records were not written; says which.
        """
        writer = BulkWriter(
            self._lifecycle,
            policy=WritePolicy.parse(policy),
            ttl=ttl,
            sliding=sliding,
            batch_size=batch_size,
            progress=progress,
        )
        return writer.write(records, total)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove records by id; returns how many were there. An empty list removes nothing."""
        wanted = list(dict.fromkeys(check_ids(ids)))
        return self._lifecycle.read(lambda engine: engine.delete(wanted), 0) if wanted else 0

    def delete_by_filter(self, filter: FilterLike) -> int:
        """Remove the records that match; returns how many that were."""
        chosen = as_filter(filter)

        def delete(engine: Engine) -> int:
            selection = answering.prepare_selection(self._lifecycle, engine, chosen)
            return answering.delete(engine, selection)

        return self._lifecycle.read(delete, 0)

    def delete_all(self) -> int:
        """Remove every record and keep the index; returns how many there were."""

        def delete(engine: Engine) -> int:
            return answering.delete(
                engine, answering.prepare_selection(self._lifecycle, engine, None)
            )

        return self._lifecycle.read(delete, 0)

    def update_metadata(self, which: FilterLike | Sequence[str], changes: Mapping[str, Any]) -> int:
        """Set metadata keys of records, keeping the others, their text, vector and time to live.

        Each record is changed atomically; one that somebody else changes meanwhile is read again.

        Args:
            which: a filter, or a list of ids.
            changes: keys and their new values. None makes a key count as missing.

        Returns:
            How many records were changed.

        Raises:
            InvalidInputError: a value cannot be stored; nothing was changed.
        """
        update = MetadataUpdate(self._lifecycle, changes)
        if isinstance(which, Sequence):
            wanted = check_ids(which)
            return self._lifecycle.read(lambda engine: update.of_ids(engine, wanted), 0)
        chosen = as_filter(which)
        return self._lifecycle.read(lambda engine: update.of_matching(engine, chosen), 0)

    aupsert = twin(upsert)
    adelete = twin(delete)
    adelete_by_filter = twin(delete_by_filter)
    adelete_all = twin(delete_all)
    aupdate_metadata = twin(update_metadata)
