"""Noted changes: what small batches changed since a state of the index, so that kept counts stay true after a write.

A batch of a few documents without TTL on one node of Valkey-Search notes their indexed fields before and after, in the
script that ends it: still under their locks, beside the mark of the batch before. So the marks are a chain. A batch that
notes nothing has a mark, too, and breaks the chain; so does one that lost a lock, or that took over one that had lapsed.

A reader adds the changes to counts only if all of this holds:

* No write was in progress when the counts ended: no lock existed, and after that the mark was still the one from before.
  A write has its locks before it changes a document, and its mark before it releases them.
* The marks lead from that state to the present one without a gap, and the number of documents changed as they say. Other
  programs, expiration and batches without locks change this number.
* No lock exists: a writer that was killed, which may have changed documents without a mark, leaves its locks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.search.signs import State
from valkey_vector.storage.changes import Change, unpacked, writes_key

if TYPE_CHECKING:
    from valkey_vector.engines.search.engine import SearchEngine

__all__ = ["ENDS", "KEPT", "LARGEST", "MOST", "noted_changes"]

KEPT = 64
"""Last writes of documents whose changes are kept on the server."""

MOST = 10
"""Documents of a batch whose changes are noted."""

LARGEST = 65_536
"""Bytes of the noted changes of a batch."""

ENDS = 120
"""Seconds after the last noted write until the server removes all changes, which nobody can add any more."""


def noted_changes(
    engine: SearchEngine, before: object, now: object
) -> Pipelined[list[Change] | None]:
    """Return the changes between two states of an index; None if they are not known.

    Cost: one round trip if there can be any.
    """
    if not isinstance(before, State) or not isinstance(now, State):
        return None
    if before.run != now.run or not now.is_quiet:
        return None
    if before.writes == now.writes:
        return [] if before.alive == now.alive else None
    written = int(now.writes[0]) - int(before.writes[0] or 0)
    if not 0 < written <= KEPT:
        return None
    numbers = [str(int(now.writes[0]) - back) for back in range(written)]
    (found,) = yield Request([["HMGET", writes_key(engine.entry.name), *numbers]])
    return _chained([each for each in found if each is not None], before, now)


def _chained(noted: Sequence[bytes], before: State, now: State) -> list[Change] | None:
    """Return the changes of noted batches, the last one first, if they lead from one state to the other."""
    mark = now.writes[1]
    changes: list[Change] = []
    for each in noted:
        if mark == before.writes[1]:
            return None  # older than the state
        previous, own, data = each.split(b" ", 2)
        if own != mark:
            return None
        try:
            changes += unpacked(data)
        except msgspec.DecodeError:
            return None
        mark = previous or None
    if mark != before.writes[1]:
        return None
    added = sum((each.new is not None) - (each.old is not None) for each in changes)
    return changes if now.alive - before.alive == added else None
