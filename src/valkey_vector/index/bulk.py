"""`BulkWriter`: writes any number of records in concurrent batches of bounded size, with progress and exact errors."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from valkey_vector.concurrency.threads import writers
from valkey_vector.connection.batches import REQUEST_BYTES, in_batches, staggered_sizes
from valkey_vector.connection.lanes import Lanes
from valkey_vector.engines.base import Engine
from valkey_vector.errors import (
    ConfigurationError,
    DuplicateIdError,
    InvalidInputError,
    PartialWriteError,
    ValkeyVectorError,
)
from valkey_vector.index.handle import IndexHandle
from valkey_vector.records.amounts import counted
from valkey_vector.records.plain_values import plain_text
from valkey_vector.records.record import Record, WritePolicy, WriteResult
from valkey_vector.records.vectors import wrong_dimension
from valkey_vector.schema.schema import Hnsw
from valkey_vector.storage.layout import Prepared
from valkey_vector.storage.preparation import prepare, prepare_text
from valkey_vector.storage.prepared_vectors import dimension_of, in_types_of, refuse_zero_vectors
from valkey_vector.storage.rows import Row, WriteOutcome
from valkey_vector.storage.sizes import estimated_size, prepared_size

__all__ = ["BulkWriter"]

_LARGEST_BATCH = 10_000

_HELD_BYTES = 64 * 1024 * 1024
"""Maximum bytes of encoded records retained between the check of a list and its writing. The rest is encoded twice."""

_AHEAD = 2
"""Number of batches that wait for a writer connection. More could overtake each other."""

_EQUAL = 30
"""Number of records with the same vector in one batch that causes a warning in a cluster."""

_log = logging.getLogger("valkey_vector")

_Pending: TypeAlias = dict[Future[WriteOutcome], list[Prepared]]


@dataclass(slots=True)
class _Tally:
    """Results received so far."""

    written: int = 0
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)


class BulkWriter:
    """Writes records to one index.

    Args:
        handle: handle of the index.
        policy: policy for ids that exist.
        ttl: time to live of the records in seconds, > 0. None: records do not expire.
        sliding: the time to live will be extended, on the keys of the records.
        batch_size: maximum number of records in one request.
        progress: show a progress bar. None: show one on a terminal if there is more than one batch.
    """

    def __init__(
        self,
        handle: IndexHandle,
        *,
        policy: WritePolicy,
        ttl: float | None,
        sliding: bool,
        batch_size: int,
        progress: bool | None,
    ) -> None:
        if not _is_number(batch_size, int) or not 1 <= batch_size <= _LARGEST_BATCH:
            raise ConfigurationError(
                f"batch_size must be an integer from 1 to {_LARGEST_BATCH}, not {batch_size!r}"
            )
        if ttl is not None and not (_is_number(ttl, (int, float)) and 0 < ttl < 10**10):
            raise InvalidInputError(f"ttl must be a positive number of seconds, not {ttl!r}")
        self._handle = handle
        self._policy = policy
        self._ttl = ttl
        self._sliding = sliding
        self._batch_size = batch_size
        self._progress = progress
        self._schema = handle.known_schema()
        self._directed = handle.directed_vectors()
        # On a single server such searches are detected and answered exactly (see `valkey_vector.engines.search.knn`).
        self._hides_equals = handle.connection.capabilities.cluster and isinstance(
            self._schema.algorithm, Hnsw
        )

    def write(self, records: Iterable[Record], total: int | None) -> WriteResult:
        """Write all records, or raise an error that lists the records not written.

        A list is checked as a whole before the first write. Other iterables are read a few batches at a time, so an
        invalid record is found when its batch is read. A batch has at most `batch_size` records and about
        `valkey_vector.connection.batches.REQUEST_BYTES` bytes.

        Args:
            records: the records to write.
            total: number of records for the progress bar, if `records` has no length.

        Raises:
            InvalidInputError: a record is not valid or an id occurs twice. Nothing was written.
            DuplicateIdError: the policy is FAIL and ids exist. Nothing was written.
            PartialWriteError: some records were written. The error lists the others.
        """
        if isinstance(records, Record):
            raise InvalidInputError(
                "upsert takes a list of records, not one Record: write [record]"
            )
        if isinstance(records, (str, bytes, Mapping)) or not isinstance(records, Iterable):
            raise InvalidInputError(
                f"upsert takes a list of records, not a {type(records).__name__}"
            )
        if isinstance(records, Sequence):
            return self._write_sequence(records)
        return self._write_stream(iter(records), total)

    def _write_sequence(self, records: Sequence[Record]) -> WriteResult:
        if not records:
            return WriteResult(written=0)
        batches = self._checked(records)
        if len(batches) == 1 and not isinstance(batches[0], range):
            outcome = self._send(batches[0], None, Lanes(0))
            if self._policy is WritePolicy.FAIL and outcome.present:
                raise DuplicateIdError(outcome.present)
            _raise_refused(outcome)
            return WriteResult(written=outcome.written, skipped=self._skipped(outcome))
        if self._policy is WritePolicy.FAIL:
            self._refuse_present([id for batch in batches for id in _ids(batch, records)])
        rest = iter(batches)
        prepared = (
            self._prepared([records[n] for n in batch]) if isinstance(batch, range) else batch
            for batch in rest
        )
        pending = (id for batch in rest for id in _ids(batch, records))
        return self._write_batches(prepared, len(records), pending)

    def _checked(self, records: Sequence[Record]) -> list[list[Prepared] | range]:
        """Check a whole list. Returns its batches, prepared as far as they fit into `_HELD_BYTES`, or as positions."""
        batches: list[list[Prepared] | range] = []
        seen: set[str] = set()
        held = 0
        connections = self._handle.connection.settings.write_connections
        sizes = staggered_sizes(len(records), self._batch_size, connections)
        for batch, size in self._batches(records, sizes, seen):
            held += size
            first = len(seen) - len(batch)
            batches.append(batch if held <= _HELD_BYTES else range(first, len(seen)))
        return batches

    def _batches(
        self, records: Iterable[Record], sizes: int | Iterator[int], seen: set[str]
    ) -> Iterator[tuple[list[Prepared], int]]:
        """Iterate over batches of bounded count and size, with their bytes. Checks each batch when it is read."""
        texts = 3 if self._schema.full_text is not None else 1
        weigh = partial(prepared_size, texts=texts)
        for part in in_batches(records, sizes, partial(estimated_size, texts=texts)):
            prepared = self._prepared(part, len(seen))
            size = sum(map(weigh, prepared))
            fits = size <= REQUEST_BYTES
            for batch in [prepared] if fits else in_batches(prepared, self._batch_size, weigh):
                self._note_ids(batch, seen)
                yield batch, size if fits else sum(map(weigh, batch))

    def _write_stream(self, records: Iterator[Record], total: int | None) -> WriteResult:
        batches = (batch for batch, _ in self._batches(records, self._batch_size, set()))
        return self._write_batches(batches, total, ())

    def _write_batches(
        self, batches: Iterator[list[Prepared]], total: int | None, unsent: Iterable[str]
    ) -> WriteResult:
        """Send batches over several connections, each of which carries one at a time.

        Args:
            batches: to send; a few are prepared ahead of those under way.
            total: how many records there are, for the progress bar.
            unsent: the ids of what `batches` still holds when a failure has ended the sending, as far as known.
        """
        connections = self._handle.connection.settings.write_connections
        lanes = Lanes(connections)
        tally = _Tally()
        stamp = self._server_time()
        from tqdm.auto import tqdm

        with tqdm(
            total=total, unit=" records", disable=not self._shows_progress(total), file=sys.stderr
        ) as bar:
            pending: _Pending = {}
            try:
                for batch in batches:
                    if len(pending) >= connections:  # this batch waits, so encode it now
                        for document in batch:
                            document.encode()
                    pending[writers().submit(self._send, batch, stamp, lanes)] = batch
                    stamp += len(batch)
                    if len(pending) >= connections + _AHEAD:
                        bar.update(self._collect(pending, tally, FIRST_COMPLETED))
                    if tally.failed:
                        break
            except InvalidInputError as error:
                self._collect(pending, tally, ALL_COMPLETED)
                error.add_note(f"{counted(tally.written, 'record')} written before it")
                raise
            finally:
                bar.update(self._collect(pending, tally, ALL_COMPLETED))
        if tally.failed:
            raise PartialWriteError(tally.written, tally.failed, list(unsent))
        return WriteResult(written=tally.written, skipped=tuple(tally.skipped))

    def _collect(self, pending: _Pending, tally: _Tally, until: str) -> int:
        """Add the results of completed batches. Returns their number of records."""
        if not pending:
            return 0
        finished, _ = wait(pending, return_when=until)
        records = 0
        for future in finished:
            batch = pending.pop(future)
            records += len(batch)
            try:
                outcome = future.result()
            except ValkeyVectorError as error:
                tally.failed.update((document.id, error) for document in batch)
                continue
            tally.written += outcome.written
            tally.failed.update(outcome.failed)
            if self._policy is WritePolicy.FAIL and outcome.present:
                duplicates = DuplicateIdError(outcome.present)
                tally.failed.update((document.id, duplicates) for document in batch)
            tally.skipped.extend(self._skipped(outcome))
        return records

    def _send(self, batch: list[Prepared], stamp: int | None, lanes: Lanes) -> WriteOutcome:
        def write(engine: Engine) -> WriteOutcome:
            self._check_dimension(batch, engine)
            for document in batch:
                prepare_text(document, engine.entry.schema)
            stored = in_types_of(engine.entry, batch, self._schema)
            engine.slots.bind(stored)
            return engine.write(
                stored, self._policy, self._ttl, stamp, lanes, sliding=self._sliding
            )

        return self._handle.write(write, self._schema.dimension)

    def _server_time(self) -> int:
        """Microseconds: batches overtake each other, their records are in the order given all the same."""
        seconds, micros = self._handle.connection.execute("TIME", retry=True)
        return int(seconds) * 1_000_000 + int(micros)

    def _check_dimension(self, batch: Sequence[Prepared], engine: Engine) -> None:
        """Against the index itself: when the batch was prepared its dimension may not have been known."""
        expected = engine.entry.schema.dimension
        for item in batch:
            found = dimension_of(item, self._schema)
            if found is not None and found != expected:
                owner = f"record {item.id!r}"
                raise wrong_dimension(found, expected or 0, owner, engine.entry.name)

    def _prepared(self, batch: Sequence[Record], first: int = 0) -> list[Prepared]:
        """Check records, the first of which has a position in the whole input, and encode them."""
        known = "" if self._schema.dimension is None else self._handle.name
        prepared = prepare(batch, self._schema, first, known)
        if self._directed:
            refuse_zero_vectors(prepared, self._schema, self._directed)
        if self._schema.dimension is None:
            sizes = (dimension_of(item, self._schema) for item in prepared)
            known_size = next((size for size in sizes if size is not None), None)
            self._schema = replace(self._schema, dimension=known_size)
        if self._hides_equals and (equal := _largest_group(prepared)) >= _EQUAL:
            self._hides_equals = False
            _log.warning(
                "%d records of one batch for index %r have the same vector. In a cluster, hundreds of equal vectors can "
                "hide other records of their node from HNSW searches: leave out records without content (empty pages, "
                "boilerplate), or use algorithm='FLAT'",
                equal,
                self._handle.name,
            )
        return prepared

    def _note_ids(self, batch: Sequence[Prepared], seen: set[str]) -> None:
        ids = {document.id for document in batch}
        if len(ids) == len(batch) and ids.isdisjoint(seen):
            seen |= ids
            return
        for document in batch:
            if document.id in seen:
                raise InvalidInputError(f"the id {document.id!r} occurs more than once in one call")
            seen.add(document.id)

    def _refuse_present(self, ids: Sequence[str]) -> None:
        """Look before a write of several batches, so that normally nothing is written if it must fail."""
        nothing: list[Row | None] = []
        found = self._handle.read(lambda engine: engine.fetch(ids, []), nothing)
        present = [row.id for row in found if row is not None]
        if present:
            raise DuplicateIdError(present)

    def _skipped(self, outcome: WriteOutcome) -> tuple[str, ...]:
        return outcome.present if self._policy is WritePolicy.SKIP else ()

    def _shows_progress(self, total: int | None) -> bool:
        if self._progress is not None:
            return self._progress
        return sys.stderr.isatty() and (total is None or total > self._batch_size)


def _raise_refused(outcome: WriteOutcome) -> None:
    """Report the records of a single batch that the server refused.

    Raises:
        ServerError: it refused all for one reason; nothing was written.
        PartialWriteError: it refused some; names them.
    """
    if not outcome.failed:
        return
    first = next(iter(outcome.failed.values()))
    if not outcome.written and all(
        each.message == first.message for each in outcome.failed.values()
    ):
        raise first
    raise PartialWriteError(outcome.written, outcome.failed)


def _is_number(value: object, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _largest_group(batch: Iterable[Prepared]) -> int:
    """Return the largest number of records in a batch that have the same vector."""
    counts = Counter(document.vector for document in batch if document.vector is not None)
    return max(counts.values(), default=0)


def _ids(batch: list[Prepared] | range, records: Sequence[Record]) -> list[str]:
    """Return the ids of a batch of a checked list."""
    if isinstance(batch, range):
        return [plain_text(records[n].id) for n in batch]
    return [document.id for document in batch]
