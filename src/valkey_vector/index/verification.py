"""The check of a whole index: every key under its prefix, its engine's own structures, and what dropped ones left.

Other clients may write meanwhile. So whatever looks wrong is looked at a second time before it is reported, and is
mended as every change of a record is: only if it is still of the version that was looked at.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from valkey_vector.connection import Argument
from valkey_vector.connection.batches import in_batches
from valkey_vector.engines.base import Engine, StaleIndexError
from valkey_vector.engines.lost_records import generations_in
from valkey_vector.engines.removal import complete_removals, drop_search_index
from valkey_vector.errors import AuthenticationError, ServerError
from valkey_vector.filters.plan import Everything
from valkey_vector.index.document_verification import DocumentCheck, Looked
from valkey_vector.index.handle import Lifecycle
from valkey_vector.index.report import Findings, IndexReport, ProblemKind
from valkey_vector.storage.catalog import Catalog, document_prefix

__all__ = ["Options", "check_index"]

_PAGE = 100
"""Documents that are looked at in one round trip; each may have some MiB."""

_AGAIN = 0.05
"""Seconds to the second look: a write that was under way is complete by then."""

_ATTEMPTS = 3
"""To mend a record that others change meanwhile."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a check may do.

    Attributes:
        mend: change anything.
        remove_orphans: remove documents of indexes that are gone, also where none noted that they are to be removed.
        remove_damaged: remove what cannot be mended: vectors that are none, and records that cannot be read.
        examples: problems of each kind that are kept.
        progress: show a bar; None shows one on a terminal if there is more than one page.
    """

    mend: bool
    remove_orphans: bool
    remove_damaged: bool
    examples: int
    progress: bool | None


def check_index(lifecycle: Lifecycle, options: Options) -> IndexReport:
    """Check an index; of one that does not exist only what was left of it is looked at."""
    missing = _Remains(lifecycle, options)
    report = lifecycle.read(lambda engine: _IndexCheck(lifecycle, engine, options).run(), None)
    return missing.run() if report is None else report


class _Remains:
    """What dropped indexes of a name left behind.

    Args:
        lifecycle: of the index.
        options: of the check.
    """

    def __init__(self, lifecycle: Lifecycle, options: Options) -> None:
        self._connection = lifecycle.connection
        self._name = lifecycle.name
        self._options = options
        self._catalog = Catalog(lifecycle.connection, lifecycle.name)
        self._findings = Findings(options.examples)
        self._unchecked: list[str] = []

    def run(self) -> IndexReport:
        """The report of an index that does not exist."""
        entry, noted = self._catalog.look()
        if entry is None and noted:  # without a record nobody knows whose a search index is
            self._check_generations(None)
            self._check_removals()
        return self._report(0, 0, 0, 0)

    def _report(self, records: int, counted: int, foreign: int, failures: int) -> IndexReport:
        return IndexReport(
            self._name, records, counted, foreign, failures,
            self._findings.all, tuple(self._unchecked), dry_run=not self._options.mend,
        )  # fmt: skip

    def _check_generations(self, known: str | None) -> None:
        """Look for search indexes of this name that the record does not name.

        Raises:
            StaleIndexError: the index is not of the generation that is `known`.
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
        # Read after the list: a search index is made after its generation is recorded, and none is recorded twice.
        entry, _ = self._catalog.look()
        current = None if entry is None else entry.generation
        if current != known:
            raise StaleIndexError
        for generation in sorted(generations_in(listed, self._name) - {current}):
            self._findings.add("stale generation", f"{self._name}-{generation}")
            if self._options.mend:
                drop_search_index(self._connection, self._name, generation)
                self._findings.mended(["stale generation"])

    def _check_removals(self) -> frozenset[str]:
        """Complete removals that were interrupted; returns the lineages that are noted as to be removed."""
        lineages = frozenset(self._catalog.removals())
        for lineage in sorted(lineages):
            self._findings.add("unfinished removal", lineage or "documents of format 1")
        if lineages and self._options.mend:
            complete_removals(self._connection, self._catalog)
            self._findings.mended(["unfinished removal"], len(lineages))
        return lineages


@dataclass(slots=True)
class _Page:
    """Records of one page in which something is wrong."""

    suspects: list[Looked] = field(default_factory=list)
    expired: list[Looked] = field(default_factory=list)


class _IndexCheck(_Remains):
    """One check of an index.

    Args:
        lifecycle: of the index.
        engine: that keeps it.
        options: of the check.
    """

    def __init__(self, lifecycle: Lifecycle, engine: Engine, options: Options) -> None:
        super().__init__(lifecycle, options)
        self._lifecycle = lifecycle
        self._engine = engine
        self._check = DocumentCheck(engine.entry)
        self._now = 0
        self._seen: set[bytes] = set()
        self._records: set[str] = set()
        self._foreign = 0
        self._orphans: dict[str, list[str]] = {}

    def run(self) -> IndexReport:
        """Check the index.

        Raises:
            StaleIndexError: it was dropped or created anew meanwhile.
        """
        self._check_generations(self._engine.entry.generation)
        self._check_documents()
        self._check_orphans()
        self._check_structures()
        counted = self._engine.count(Everything())
        failures = self._engine.info().failures
        return self._report(len(self._records), counted, self._foreign, failures)

    def _check_documents(self) -> None:
        # A search or count of the native engine would mend its change log by itself, and nobody would learn of it.
        searching = self._engine.entry.engine == "search"
        total = self._engine.count(Everything()) if searching else len(self._engine.held())
        shown = self._options.progress
        if shown is None:
            shown = total > _PAGE and sys.stderr.isatty()
        from tqdm import tqdm

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
        for looked in self._look(ids):
            match looked.nature:
                case "absent":
                    pass
                case "foreign":
                    self._foreign += 1
                case "orphan":
                    self._orphans.setdefault(looked.lineage, []).append(looked.id)
                case "expired":
                    page.expired.append(looked)
                case "record":
                    self._records.add(looked.id)
                    if looked.problems:
                        page.suspects.append(looked)
        self._check_expired(page.expired)
        suspects = self._second_look([looked.id for looked in page.suspects])
        for looked in suspects:
            for kind, detail in looked.problems.items():
                mendable = self._is_mendable(kind, looked)
                self._findings.add(kind, f"{looked.id!r}: {detail}", mendable=mendable)
        if self._options.mend:
            self._mend(suspects)

    def _look(self, ids: Sequence[str]) -> list[Looked]:
        """Keys as they are now."""
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

    def _second_look(self, ids: Sequence[str]) -> list[Looked]:
        """Records in which something is still wrong after a moment, by all slots that are bound by then."""
        if not ids:
            return []
        time.sleep(_AGAIN)
        self._lifecycle.refresh(self._engine)
        self._check = DocumentCheck(self._engine.entry)
        return [
            looked for looked in self._look(ids) if looked.nature == "record" and looked.problems
        ]

    def _is_mendable(self, kind: ProblemKind, looked: Looked) -> bool:
        match kind:
            case "unreadable":
                return self._options.remove_damaged and looked.removable
            case "damaged vector":
                return self._options.remove_damaged
            case _:
                return True

    def _mend(self, suspects: Sequence[Looked]) -> None:
        """Mend records, those that others change meanwhile by what they are then."""
        kinds = {each.id: [*each.problems] for each in suspects}
        remaining = list(suspects)
        for _ in range(_ATTEMPTS):
            mended = self._written(remaining) | self._removed(remaining)
            for looked in remaining:
                if looked.id in mended:
                    mending = [k for k in kinds[looked.id] if self._is_mendable(k, looked)]
                    self._findings.mended(mending)
            left = [each.id for each in remaining if each.id not in mended]
            again = {each.id: each for each in self._look(left)} if left else {}
            # What others have mended, overwritten or removed meanwhile is no problem any more.
            for id, looked in again.items():
                gone = [k for k in kinds[id] if k not in looked.problems]
                self._findings.mended(gone)
                kinds[id] = [k for k in kinds[id] if k not in gone]
            remaining = [
                each
                for each in again.values()
                if any(self._is_mendable(kind, each) for kind in kinds[each.id])
            ]
            if not remaining:
                return

    def _written(self, suspects: Sequence[Looked], *, anyway: bool = False) -> set[str]:
        """Write what an index reads of records again; returns the ids of those that were written.

        Args:
            suspects: the records.
            anyway: also those in which nothing is wrong.
        """
        contents = [
            (each, each.content)
            for each in suspects
            if each.content is not None
            and (anyway or any(self._is_mendable(kind, each) for kind in each.problems))
        ]
        if not contents:
            return set()
        self._lifecycle.bind_slots(self._engine, [content.prepared for _, content in contents])
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

    def _removed(self, suspects: Sequence[Looked]) -> set[str]:
        """Remove records that cannot be read, if that is wanted; returns the ids of those that are gone."""
        chosen = [
            each for each in suspects if each.unreadable and self._is_mendable("unreadable", each)
        ]
        if not chosen:
            return set()
        ids = [each.id for each in chosen]
        self._engine.delete(ids, [each.version for each in chosen])
        gone = {each.id for each in self._look(ids) if each.nature != "record"}
        self._records -= gone
        return gone

    def _check_expired(self, expired: Sequence[Looked]) -> None:
        """Look for records that ended while their keys do not end, which a writer that was killed can leave behind."""
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
        """Remove documents of indexes that are gone: those that are noted as to be removed, all others if wanted."""
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
        """Compare the documents with what the server's index has, or the change log.

        The server's index lists what it has only page by page, so only if it has not as many as there are documents.
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
                    self._written(self._look(batch), anyway=True)
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
        """The ids of documents that the engine lacks, and those that it has without documents."""
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
        """Those ids that are records now, or those that are not."""
        found: list[str] = []
        for batch in in_batches(sorted(ids), _PAGE):
            looked = self._look(batch)
            found += [each.id for each in looked if (each.nature == "record") == documents]
        return found

    def _check_count(self) -> None:
        """Compare the engine's count with what it lists: only if nobody writes meanwhile both are of the same moment."""
        found: set[tuple[int, int]] = set()
        for _ in range(_ATTEMPTS):
            writes, counted = self._writes(), self._engine.count(Everything())
            listed = self._engine.held().keys()
            known = len(listed & self._records)
            known += len(self._of_nature(listed - self._records, documents=True))
            found.add((counted, known))
            if counted == known or len(found) > 1 or self._writes() != writes:
                return
            time.sleep(_AGAIN)
        self._findings.add("count", f"{counted} instead of {known}", mendable=False)

    def _writes(self) -> object:
        """Differs after every write of the index."""
        return self._connection.execute("HGET", self._catalog.key, "seq", retry=True)
