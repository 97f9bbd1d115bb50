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

from valkey_vector.concurrency.threads import writers
from valkey_vector.connection import Argument
from valkey_vector.engines.native.page import Page, page_of_rows
from valkey_vector.errors import ServerError
from valkey_vector.storage.hashes import Documents, checked, in_batches
from valkey_vector.storage.record_version import VERSION, expiry_of

__all__ = ["Backlog", "Listing", "Loading", "scored"]

_LISTED = 2_000
"""Largest number of documents in one listing."""

_PAGE = 250
"""Largest number of documents in one page."""

_AHEAD = 3
"""Pages that are requested at a time."""

_T = TypeVar("_T")
_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class Listing:
    """Some of the changed documents, without their content.

    Attributes:
        changed: ids → numbers of their last writes, in the order of these numbers. Loading removes them.
        position: the position of the first of them in the log.
        fields: the hash fields that they can have, version first.
    """

    changed: dict[str, int]
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

        Cost: one round trip for each 2,000 documents.

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

        Cost: one round trip for each 250 documents, and a few more if documents change meanwhile.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        for (listing, first), reply in _ahead(self._sorted, self._parts(listings)):
            if first is None:
                batches = in_batches(list(listing.changed.items()), _PAGE)
                by_id = partial(self._by_id, listing.fields)
                yield from (page for _, page in _ahead(by_id, batches))
                continue
            page = None if reply is None else self._page(listing, reply)
            if page is None:
                self._sortable = False
            else:
                yield page

    def _listings(self, sequence: int, last: int) -> Iterator[Listing]:
        following = writers().submit(self._listing, sequence, last)
        while True:
            listing = following.result()
            size = len(listing.changed)
            if size:
                sequence = next(reversed(listing.changed.values()))
            if size == _LISTED:
                following = writers().submit(self._listing, sequence, last)
            yield listing
            if size < _LISTED:
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
        return Listing(dict(scored(changed)), position, fields)

    def _parts(self, listings: Iterable[Listing]) -> Iterator[tuple[Listing, int | None]]:
        """Divide listings into pages for SORT, each with its position; None stands for the rest of a listing."""
        for listing in listings:
            size = len(listing.changed)
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

    def _page(self, listing: Listing, reply: list[Any]) -> Page | None:
        """Decode the reply to SORT; None if a document needs the TTL of its key."""
        width = 1 + len(listing.fields)
        ids = [id.decode() for id in reply[::width]]
        columns = [reply[1 + at :: width] for at in range(len(listing.fields))]
        if _expires_by_key(columns[listing.fields.index(VERSION)]):
            return None
        numbers = [listing.changed.pop(id, None) for id in ids]
        known = [number for number in numbers if number is not None]
        if len(known) < len(ids):
            # Written after the listing, or of another listing.
            there = [at for at, number in enumerate(numbers) if number is not None]
            ids = [ids[at] for at in there]
            columns = [[column[at] for at in there] for column in columns]
        return page_of_rows(self._documents.entry, listing.fields, ids, known, columns)


def scored(reply: Any) -> list[tuple[str, int]]:
    """Decode a reply with ids and scores; clients return a dict or a flat list."""
    if isinstance(reply, dict):
        return [(id.decode(), int(number)) for id, number in reply.items()]
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return [(id.decode(), int(float(number))) for id, number in pairs]


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


def _expires_by_key(versions: Sequence[bytes | None]) -> bool:
    parts = {version.rpartition(b":")[2] for version in versions if version is not None}
    return any(expiry_of(b":" + each) == "s" for each in parts)
