"""Numeric slots of one opened index: bindings of metadata keys to slots."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

from valkey_vector.connection import Connection
from valkey_vector.errors import ServerError
from valkey_vector.storage.catalog import Catalog, CatalogEntry
from valkey_vector.storage.layout import Prepared, wanted_slots
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["SlotBindings"]


class SlotBindings:
    """Catalog entry of an opened index, with the bindings known so far. Thread-safe.

    Args:
        connection: connection to the server.
        entry: catalog entry of the index.
    """

    def __init__(self, connection: Connection, entry: CatalogEntry) -> None:
        self.entry = entry
        self._catalog = Catalog(connection, entry.name)
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Read the bindings again. Returns True if there are new ones.

        Raises:
            StaleIndexError: the index was dropped or created again.

        Cost: one round trip.
        """
        entry = self._catalog.read()
        if entry is None or entry.generation != self.entry.generation:
            raise StaleIndexError
        return self.learn(entry)

    def bind(self, documents: Iterable[Prepared]) -> None:
        """Bind a slot for every number and date in these documents, unless all slots are taken.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        wanted = wanted_slots(documents, self.entry)
        if not wanted:
            return
        try:
            claimed = self._catalog.claim_slots(self.entry, wanted)
        except ServerError as error:
            if "STALE" in error.message:
                raise StaleIndexError from error
            raise
        bound = {pair: slot for pair, slot in claimed.items() if slot >= 0}
        self.learn(replace(self.entry, slots=bound, slots_spent=len(bound) < len(claimed)))

    def learn(self, entry: CatalogEntry) -> bool:
        """Add the bindings of an entry, which can be older. Returns True if there were new ones.

        Bindings never change.
        """
        with self._lock:
            known = self.entry
            slots = {**entry.slots, **known.slots}
            spent = entry.slots_spent or known.slots_spent
            changed = slots != known.slots or spent != known.slots_spent
            if changed:
                self.entry = replace(known, slots=slots, slots_spent=spent)
        return changed
