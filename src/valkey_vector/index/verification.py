"""Verification and repair of a whole index: all keys under its prefix, the engine's structures, remains of drops.

Other clients may write at the same time. So a problem is reported only if a second read confirms it. A repair changes
a record only if its version is still the one that was read.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from valkey_vector.connection import Argument
from valkey_vector.connection.batches import in_batches
from valkey_vector.engines.base import Engine
from valkey_vector.engines.lost_records import generations_in
from valkey_vector.engines.removal import complete_removals, drop_search_index
from valkey_vector.errors import AuthenticationError, ConfigurationError, ServerError
from valkey_vector.filters.plan import Everything
from valkey_vector.index.document_verification import DocumentCheck, KeyState
from valkey_vector.index.handle import IndexHandle
from valkey_vector.index.report import Findings, IndexReport, ProblemKind
from valkey_vector.storage.catalog import Catalog, document_prefix
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["Options", "check_index"]

_PAGE = 100
"""Documents read in one round trip; each may have some MiB."""

_SECOND_READ_DELAY = 0.05
"""Seconds before the second read: a write that was in progress is complete by then."""

_ATTEMPTS = 3
"""Attempts to repair a record that other clients change at the same time."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a verification.

    Attributes:
        mend: repair problems. Otherwise nothing is changed.
        remove_orphans: also remove documents of dropped indexes whose removal was never recorded.
        remove_damaged: remove what cannot be repaired: damaged vectors and unreadable records.
        examples: maximum number of examples of each kind of problem, >= 0.
        progress: show a progress bar; None shows one on a terminal if there is more than one page.
    """

    mend: bool
    remove_orphans: bool
    remove_damaged: bool
    examples: int
    progress: bool | None

    def __post_init__(self) -> None:
        if self.examples < 0:
            raise ConfigurationError(f"examples must not be negative, not {self.examples}")


def check_index(handle: IndexHandle, options: Options) -> IndexReport:
    """Verify an index. If it does not exist, only the remains of dropped indexes of its name are checked."""
    missing = _Remains(handle, options)
    report = handle.read(lambda engine: _IndexCheck(handle, engine, options).run(), None)
    return missing.run() if report is None else report


class _Remains:
    """Checks the remains of dropped indexes of one name.

    Args:
        handle: handle of the index.
        options: options of the verification.
    """

    def __init__(self, handle: IndexHandle, options: Options) -> None:
        self._connection = handle.connection
        self._name = handle.name
        self._options = options
        self._catalog = Catalog(handle.connection, handle.name)
        self._findings = Findings(options.examples)
        self._unchecked: list[str] = []

    def run(self) -> IndexReport:
        """Return the report on an index that does not exist."""
        entry, noted = self._catalog.look()
        if (
            entry is None and noted
        ):  # without a catalog entry the owner of a search index is unknown
            self._check_generations(None)
            self._check_removals()
        return self._report(0, 0, 0, 0)

    def _report(self, records: int, counted: int, foreign: int, failures: int) -> IndexReport:
        return IndexReport(
            self._name, records, counted, foreign, failures,
            self._findings.all, tuple(self._unchecked), dry_run=not self._options.mend,
        )  # fmt: skip

    def _check_generations(self, known: str | None) -> None:
        """Find search indexes of this name that the catalog entry does not name.

        Raises:
            StaleIndexError: the generation of the index is not `known`.
        """
        if not self._connection.capabilities.has_search:
            return
        try:
            listed = self._connection.execute("FT._LIST", retry=True)
        except AuthenticationError:
            self._unchecked.append(
                "search indexes of dropped indexes: the user may not run FT._LIST"
            )
            return
        # Read after the list: a search index is created after its generation is recorded, and none is recorded twice.
        entry, _ = self._catalog.look()
        current = None if entry is None else entry.search_generation
        if current != known:
            raise StaleIndexError
        for generation in sorted(generations_in(listed, self._name) - {current}):
            self._findings.add("stale generation", f"{self._name}-{generation}")
            if self._options.mend:
                drop_search_index(self._connection, self._name, generation)
                self._findings.mended(["stale generation"])

    def _check_removals(self) -> frozenset[str]:
        """Complete interrupted removals. Returns the lineages that are recorded for removal."""
        lineages = frozenset(self._catalog.removals())
        for lineage in sorted(lineages):
            self._findings.add("unfinished removal", lineage or "documents of format 1")
        if lineages and self._options.mend:
            complete_removals(self._connection, self._catalog)
            self._findings.mended(["unfinished removal"], len(lineages))
        return lineages


@dataclass(slots=True)
class _Page:
    """Records of one page that have problems."""

    suspects: list[KeyState] = field(default_factory=list)
    expired: list[KeyState] = field(default_factory=list)


class _IndexCheck(_Remains):
    """Checks one index that exists.

    Args:
        handle: handle of the index.
        engine: engine of the index.
        options: options of the verification.
    """

    def __init__(self, handle: IndexHandle, engine: Engine, options: Options) -> None:
        super().__init__(handle, options)
        self._handle = handle
        self._engine = engine
        self._check = DocumentCheck(engine.entry)
        self._now = 0
        self._seen: set[bytes] = set()
        self._records: set[str] = set()
        self._foreign = 0
        self._orphans: dict[str, list[str]] = {}

    def run(self) -> IndexReport:
        """Check the index and return the report.

        Raises:
            StaleIndexError: the index was dropped or created again in the meantime.
        """
        self._check_generations(self._engine.entry.search_generation)
        self._check_documents()
        self._check_orphans()
        self._check_structures()
        counted = self._engine.count(Everything())
        failures = self._engine.info().failures
        return self._report(len(self._records), counted, self._foreign, failures)

    def _check_documents(self) -> None:
        # A search or count of the native engine would repair its change log without a report.
        searching = self._engine.entry.engine == "search"
        total = self._engine.count(Everything()) if searching else len(self._engine.held())
        shown = self._options.progress
        if shown is None:
            shown = total > _PAGE and sys.stderr.isatty()
        from tqdm.auto import tqdm

        with tqdm(
            total=total, unit=" records", desc=f"checking {self._name}",
            disable=not shown, file=sys.stderr,
        ) as bar:  # fmt: skip
            for keys in self._connection.scan(f"{document_prefix(self._name)}*"):
                new = [key for key in dict.fromkeys(keys) if key not in self._seen]
                self._seen.update(new)
                for batch in in_batches(new, _PAGE):
                    before = len(self._records)
                    self._check_page(batch)
                    bar.update(len(self._records) - before)

    def _check_page(self, keys: Sequence[bytes]) -> None:
        skip = len(document_prefix(self._name).encode())
        ids: list[str] = []
        for key in keys:
            try:
                ids.append(key[skip:].decode("utf-8"))
            except UnicodeDecodeError:
                self._foreign += 1
        page = _Page()
        for state in self._read_states(ids):
            match state.nature:
                case "absent":
                    pass
                case "foreign":
                    self._foreign += 1
                case "orphan":
                    self._orphans.setdefault(state.lineage, []).append(state.id)
                case "expired":
                    page.expired.append(state)
                case "record":
                    self._records.add(state.id)
                    if state.problems:
                        page.suspects.append(state)
        self._check_expired(page.expired)
        suspects = self._read_again([state.id for state in page.suspects])
        for state in suspects:
            for kind, detail in state.problems.items():
                mendable = self._is_mendable(kind, state)
                self._findings.add(kind, f"{state.id!r}: {detail}", mendable=mendable)
        if self._options.mend:
            self._mend(suspects)

    def _read_states(self, ids: Sequence[str]) -> list[KeyState]:
        """Read the current states of keys. Cost: one round trip."""
        commands: list[list[Argument]] = [["TIME"]]
        for id in ids:
            commands += self._check.commands(id)
        moment, *replies = self._connection.pipeline(commands, retry=True)
        if isinstance(moment, ServerError):
            raise moment
        self._now = int(moment[0]) * 1000 + int(moment[1]) // 1000
        return [
            self._check.judge(id, replies[2 * at : 2 * at + 2], self._now)
            for at, id in enumerate(ids)
        ]

    def _read_again(self, ids: Sequence[str]) -> list[KeyState]:
        """Read suspects again after a delay and with the current slots. Returns those that still have problems."""
        if not ids:
            return []
        time.sleep(_SECOND_READ_DELAY)
        self._engine.slots.refresh()
        self._check = DocumentCheck(self._engine.entry)
        return [
            state for state in self._read_states(ids) if state.nature == "record" and state.problems
        ]

    def _is_mendable(self, kind: ProblemKind, state: KeyState) -> bool:
        match kind:
            case "unreadable":
                return self._options.remove_damaged and state.removable
            case "damaged vector":
                return self._options.remove_damaged
            case _:
                return True

    def _mend(self, suspects: Sequence[KeyState]) -> None:
        """Repair records. Records that other clients change in the meantime are read again, at most three times."""
        kinds = {each.id: [*each.problems] for each in suspects}
        remaining = list(suspects)
        for _ in range(_ATTEMPTS):
            mended = self._written(remaining) | self._removed(remaining)
            for state in remaining:
                if state.id in mended:
                    mending = [k for k in kinds[state.id] if self._is_mendable(k, state)]
                    self._findings.mended(mending)
            left = [each.id for each in remaining if each.id not in mended]
            again = {each.id: each for each in self._read_states(left)} if left else {}
            # Problems that other clients repaired, overwrote or removed in the meantime no longer exist.
            for id, state in again.items():
                solved = [k for k in kinds[id] if k not in state.problems]
                self._findings.mended(solved)
                kinds[id] = [k for k in kinds[id] if k not in solved]
            remaining = [
                each
                for each in again.values()
                if any(self._is_mendable(kind, each) for kind in kinds[each.id])
            ]
            if not remaining:
                return

    def _written(self, suspects: Sequence[KeyState], *, anyway: bool = False) -> set[str]:
        """Write the indexed fields of records again. Returns the ids of the written records.

        Args:
            suspects: the records.
            anyway: also write records without problems.
        """
        contents = [
            (each, each.content)
            for each in suspects
            if each.content is not None
            and (anyway or any(self._is_mendable(kind, each) for kind in each.problems))
        ]
        if not contents:
            return set()
        self._engine.slots.bind([content.prepared for _, content in contents])
        self._check = DocumentCheck(self._engine.entry)
        dropping = self._options.remove_damaged
        outcomes = self._engine.replace_metadata(
            [
                self._check.replacement(
                    each, content, self._now, without=each.vectors if dropping else ()
                )
                for each, content in contents
            ]
        )
        pairs = zip(contents, outcomes, strict=True)
        return {each.id for (each, _), outcome in pairs if outcome}

    def _removed(self, suspects: Sequence[KeyState]) -> set[str]:
        """Remove unreadable records, if the options allow it. Returns the ids of the removed records."""
        chosen = [
            each for each in suspects if each.unreadable and self._is_mendable("unreadable", each)
        ]
        if not chosen:
            return set()
        ids = [each.id for each in chosen]
        self._engine.delete(ids, [each.version for each in chosen])
        removed = {each.id for each in self._read_states(ids) if each.nature != "record"}
        self._records -= removed
        return removed

    def _check_expired(self, expired: Sequence[KeyState]) -> None:
        """Find expired records whose keys never expire: a killed writer can leave them behind."""
        keys = [document_prefix(self._name) + each.id for each in expired]
        left = (
            self._connection.pipeline([["PTTL", key] for key in keys], retry=True) if keys else []
        )
        endless = [each for each, reply in zip(expired, left, strict=True) if reply == -1]
        for each in endless:
            self._findings.add("expired", repr(each.id))
        if endless and self._options.mend:
            self._engine.delete([each.id for each in endless], [each.version for each in endless])
            self._findings.mended(["expired"], len(endless))

    def _check_orphans(self) -> None:
        """Remove documents of dropped indexes: those recorded for removal, and all others if the options allow it."""
        noted = self._check_removals()
        other = {lineage for lineage in self._orphans if lineage and lineage not in noted}
        wanted = noted | (other if self._options.remove_orphans else set())
        for lineage, ids in self._orphans.items():
            for id in ids:
                self._findings.add(
                    "orphan", f"{id!r} of lineage {lineage or 'none'}", mendable=lineage in wanted
                )
        if not self._options.mend:
            return
        if other & wanted:
            if not self._catalog.note_orphans(self._engine.entry, sorted(other)):
                raise StaleIndexError
            complete_removals(self._connection, self._catalog)
        for lineage in wanted & self._orphans.keys():
            self._findings.mended(["orphan"], len(self._orphans[lineage]))

    def _check_structures(self) -> None:
        """Compare the documents with the entries of the server's index or of the change log.

        Listing the entries of the server's index takes many pages, so they are listed only if the counts differ.
        """
        searching = self._engine.entry.engine == "search"
        if searching and self._engine.count(Everything()) == len(self._records):
            return
        missing, surplus = self._differences()
        for id in missing:
            self._findings.add("missing", repr(id), mendable=True)
        for id in surplus:
            self._findings.add("stale entry", repr(id), mendable=True)
        if self._options.mend and (missing or surplus):
            if searching:
                for batch in in_batches(missing, _PAGE):
                    self._written(self._read_states(batch), anyway=True)
            self._engine.reconcile([*missing, *surplus])
            still_missing, still_surplus = self._differences()
            if missing:
                self._findings.mended(["missing"], len(set(missing) - set(still_missing)))
            if surplus:
                self._findings.mended(["stale entry"], len(set(surplus) - set(still_surplus)))
            missing, surplus = still_missing, still_surplus
        if not missing and not surplus:
            self._check_count()

    def _differences(self) -> tuple[list[str], list[str]]:
        """Return the ids of documents that the engine lacks, and of its entries without documents."""
        held = self._engine.held()
        lacking = self._of_nature(self._records - held.keys(), documents=True)
        ending = {id for id, ended in held.items() if ended}
        surplus = self._of_nature(held.keys() - self._records - ending, documents=False)
        if lacking or surplus:  # they may have been written or removed since
            held = self._engine.held()
        return (
            [id for id in lacking if id not in held],
            [id for id in surplus if id in held],
        )

    def _of_nature(self, ids: Collection[str], *, documents: bool) -> list[str]:
        """Return the ids that are records now, or those that are not."""
        found: list[str] = []
        for batch in in_batches(sorted(ids), _PAGE):
            state = self._read_states(batch)
            found += [each.id for each in state if (each.nature == "record") == documents]
        return found

    def _check_count(self) -> None:
        """Compare the engine's count with its list. They belong to the same moment only if nothing is written between."""
        found: set[tuple[int, int]] = set()
        for _ in range(_ATTEMPTS):
            writes, counted = self._writes(), self._engine.count(Everything())
            listed = self._engine.held().keys()
            known = len(listed & self._records)
            known += len(self._of_nature(listed - self._records, documents=True))
            found.add((counted, known))
            if counted == known or len(found) > 1 or self._writes() != writes:
                return
            time.sleep(_SECOND_READ_DELAY)
        self._findings.add("count", f"{counted} instead of {known}", mendable=False)

    def _writes(self) -> object:
        """Return a value that changes with every write to the index."""
        return self._connection.execute("HGET", self._catalog.key, "seq", retry=True)
