"""Loads many changed documents of a change log: first loads of a replica, and replicas that are far behind.

The ids are listed in parts, and their documents read in pages while the caller applies earlier ones. The pages are small,
because clients retain memory for the longest replies.

Documents are read by SORT, which follows the ids in the log to the hashes in the server's own code. That takes the server
less than half the time of a script. But a page is a range of positions in the log, and documents that other clients write
meanwhile move to the end of it. So each page says whose documents it has, and a script reads the rest of each listing by id.
The script reads all documents where SORT is not possible: for users without access to all keys, on clusters of earlier
versions, and for documents that need the time to live of their key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from valkey_vector.concurrency.threads import writers
from valkey_vector.connection import Argument
from valkey_vector.engines.native.page import Page, page_of_rows, version_kinds
from valkey_vector.errors import ServerError
from valkey_vector.storage.hashes import Documents, checked, in_batches
from valkey_vector.storage.record_version import VERSION, expiry_of

__all__ = ["Backlog", "Listing", "Loading", "scored"]

_LISTED = 1_000
"""Largest number of documents in one listing."""

_PAGE = 125
"""Largest number of documents in one page."""

_DECODED = 1_000
"""Number of documents that are decoded together: few large arrays take less time."""

_AHEAD = 2
"""Pages that are requested at a time."""

_T = TypeVar("_T")
_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class Listing:
    """Some of the changed documents, without their content.

    Attributes:
        ids: ids in the order of their last writes.
        numbers: the numbers of these writes.
        position: the position of the first of them in the log.
        fields: the hash fields that they can have, version first.
    """

    ids: Sequence[str]
    numbers: NDArray[np.int64]
    position: int
    fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class Backlog:
    """All changes between two sequence numbers.

    Attributes:
        deleted: ids of the deleted documents. One that was written again since is in a listing, too, and exists.
        size: number of written documents.
        listings: the written documents.
    """

    deleted: Sequence[str]
    size: int
    listings: Iterator[Listing]


class Loading:
    """Reads of many documents of one index.

    Args:
        documents: the documents of the index.
        keys: the keys of the change log: catalog, changes, deletions, expiry.
        fields: all hash fields that the replica needs, version first.
        by_id: reads hash fields of a batch of documents by script.
    """

    def __init__(
        self,
        documents: Documents,
        keys: Sequence[str],
        fields: Sequence[str],
        by_id: Callable[[Sequence[str], Sequence[tuple[str, int]]], Page],
    ) -> None:
        self._documents = documents
        self._keys = keys
        self._fields = fields
        self._by_id = by_id
        # Documents of format 1 need the TTL of their key.
        self._sortable = documents.entry.lineage is not None

    def backlog(self, sequence: int, last: int) -> Backlog | None:
        """List what was deleted or written after a sequence number; None if deletions may be missing.

        A document that is written again meanwhile gets a number beyond `last`, and may be missing in the listings: it
        belongs to the next synchronization. So a busy writer makes no listing longer.

        Args:
            sequence: the last number that the caller has applied; -1 for all.
            last: the last number to list.

        Cost: one round trip for each 1,000 documents.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        catalog, changes, deletions, _ = self._keys
        # Deletions first: an id that is deleted and written again in between exists.
        deleted, size, floor = checked(
            self._documents.connection.pipeline(
                [
                    ["ZRANGEBYSCORE", deletions, "(+inf" if sequence < 0 else f"({sequence}", "+inf"],
                    ["ZCOUNT", changes, f"({sequence}", str(last)],
                    ["HGET", catalog, "floor"],
                ],
                retry=True,
            )
        )  # fmt: skip
        if 0 <= sequence < int(floor or 0):
            return None
        listings = self._listings(sequence, last)
        return Backlog([id.decode() for id in deleted], size, listings)

    def load(self, listings: Iterable[Listing]) -> Iterator[Page]:
        """Read the current content of listed documents.

        Cost: one round trip for each 125 documents, and a few more if documents change meanwhile.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        rest: _Rest | None = None
        together: list[Any] = []
        for (listing, first), reply in _ahead(self._sorted, self._parts(listings)):
            rest = rest or _Rest(listing)
            if first is not None and reply is None:
                self._sortable = False
            together += reply or ()
            if together and (
                first is None or len(together) >= _DECODED * (1 + len(listing.fields))
            ):
                page = self._page(listing, together, rest)
                together = []
                if page is None:
                    self._sortable = False
                else:
                    yield page
            if first is None:
                by_id = partial(self._by_id, listing.fields)
                batches = in_batches(rest.pairs(), _PAGE)
                yield from (page for _, page in _ahead(by_id, batches))
                rest = None

    def _listings(self, sequence: int, last: int) -> Iterator[Listing]:
        following = writers().submit(self._listing, sequence, last)
        while True:
            listing = following.result()
            is_last = len(listing.ids) < _LISTED
            if not is_last:
                following = writers().submit(self._listing, int(listing.numbers[-1]), last)
            yield listing
            if is_last:
                return

    def _listing(self, after: int, last: int) -> Listing:
        catalog, changes, _, _ = self._keys
        # The slots last: one is bound before a document uses it, so all that the listed documents use are known.
        position, changed, (generation, slots) = checked(
            self._documents.connection.pipeline(
                [
                    ["ZCOUNT", changes, "-inf", str(after)],
                    [
                        "ZRANGEBYSCORE", changes, f"({after}", str(last),
                        "WITHSCORES", "LIMIT", "0", str(_LISTED),
                    ],
                    ["HMGET", catalog, "generation", "slots_used"],
                ],
                retry=True,
            )
        )  # fmt: skip
        self._documents.check_generation(generation)
        entry = self._documents.entry
        bound = max(int(slots or 0), 1 + max(entry.slots.values(), default=-1))
        unbound = {f"n{number}" for number in range(bound, entry.schema.numeric_slots)}
        fields = [name for name in self._fields if name not in unbound]
        return Listing(*scored(changed), position, fields)

    def _parts(self, listings: Iterable[Listing]) -> Iterator[tuple[Listing, int | None]]:
        """Divide listings into pages for SORT, each with its position; None stands for the rest of a listing."""
        for listing in listings:
            size = len(listing.ids)
            for first in range(0, size, _PAGE) if size >= _PAGE else ():
                if not self._sortable:
                    break
                yield listing, listing.position + first
            yield listing, None

    def _sorted(self, part: tuple[Listing, int | None]) -> list[Any] | None:
        """Return ids and fields in turn; None if SORT is not possible, or for the rest of a listing."""
        listing, first = part
        if first is None:
            return None
        prefix = self._documents.entry.prefix
        command: list[Argument] = ["SORT_RO", self._keys[1], "BY", "nosort"]
        command += ["LIMIT", str(first), str(_PAGE), "GET", "#"]
        for name in listing.fields:
            command += ["GET", f"{prefix}*->{name}"]
        generation: list[Argument] = ["HGET", self._keys[0], "generation"]
        reply, found = self._documents.connection.pipeline([command, generation], retry=True)
        self._documents.check_generation(checked([found])[0])
        return None if isinstance(reply, ServerError) else reply

    def _page(self, listing: Listing, reply: list[Any], rest: _Rest) -> Page | None:
        """Decode the reply to SORT; None if a document needs the TTL of its key."""
        width = 1 + len(listing.fields)
        ids = _decoded(reply[::width])
        columns = [reply[1 + at :: width] for at in range(len(listing.fields))]
        versions = [each for each in columns[listing.fields.index(VERSION)] if each is not None]
        if any(expiry_of(kind) == "s" for kind in version_kinds(versions)):
            return None
        numbers = rest.take(ids)
        if (numbers < 0).any():
            there = np.flatnonzero(numbers >= 0)
            ids = [ids[at] for at in there.tolist()]
            columns = [[column[at] for at in there.tolist()] for column in columns]
            numbers = numbers[there]
        return page_of_rows(self._documents.entry, listing.fields, ids, numbers, columns)


class _Rest:
    """The documents of a listing that were not read yet."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._read = 0
        self._left: dict[str, int] | None = None

    def take(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Remove documents, and return their numbers; -1 for one that is not here.

        Such a document was written after the listing, or belongs to another one.
        """
        listing, end = self._listing, self._read + len(ids)
        if self._left is None:
            if ids == listing.ids[self._read : end]:
                numbers = listing.numbers[self._read : end]
                self._read = end
                return numbers
            self._left = dict(self.pairs())
        return np.array([self._left.pop(id, -1) for id in ids], dtype=np.int64)

    def pairs(self) -> list[tuple[str, int]]:
        """The ids and numbers of these documents."""
        if self._left is not None:
            return list(self._left.items())
        ids, numbers = self._listing.ids[self._read :], self._listing.numbers[self._read :]
        return list(zip(ids, numbers.tolist(), strict=True))


def scored(reply: Any) -> tuple[list[str], NDArray[np.int64]]:
    """Decode a reply with ids and whole scores; clients return a dict or a flat list."""
    if isinstance(reply, dict):
        ids, scores = list(reply), list(reply.values())
    else:
        ids, scores = reply[::2], reply[1::2]
    numbers = np.fromiter(map(float, scores), np.float64, len(ids))
    return _decoded(ids), numbers.astype(np.int64)


def _decoded(texts: Sequence[bytes]) -> list[str]:
    """Decode texts. Once for all is much faster."""
    joined = b"\n".join(texts)
    if texts and joined.count(b"\n") == len(texts) - 1:
        return joined.decode().split("\n")
    return [text.decode() for text in texts]


def _ahead(read: Callable[[_Part], _T], parts: Iterable[_Part]) -> Iterator[tuple[_Part, _T]]:
    """Read parts in other threads, a few at a time, and iterate over the results in order."""
    pending: deque[tuple[_Part, Future[_T]]] = deque()
    for part in parts:
        pending.append((part, writers().submit(read, part)))
        if len(pending) == _AHEAD:
            first, future = pending.popleft()
            yield first, future.result()
    for first, future in pending:
        yield first, future.result()
