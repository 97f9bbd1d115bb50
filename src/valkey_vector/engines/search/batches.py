"""Write batches of the search engine: send the commands under locks, and only for the current generation of the index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from valkey_vector.connection import Argument, SearchModule
from valkey_vector.connection.lua import read_lua
from valkey_vector.engines.search.key_states import KeyState, parse_states, state_commands
from valkey_vector.engines.search.locks import Locks
from valkey_vector.engines.search.noted import ENDS, KEPT, LARGEST, MOST
from valkey_vector.errors import ConnectionLostError, RequestTimeoutError, ServerError
from valkey_vector.storage.changes import Change, after, counted_fields, packed, writes_key
from valkey_vector.storage.hashes import Documents, checked
from valkey_vector.storage.record_version import VERSION, new_unique
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["Batches"]

_FINISH = read_lua(__package__, "batches_finish")


class Batches:
    """Sends write batches for one index.

    Args:
        documents: the documents of the index.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._connection = documents.connection
        self._locks = Locks(documents.connection, documents.entry.name)
        self._writes = writes_key(documents.entry.name)
        capabilities = documents.connection.capabilities
        notes = capabilities.module is SearchModule.VALKEY_SEARCH and not capabilities.cluster
        self._noted = counted_fields(documents.entry) if notes else ()
        self._encoded = [name.encode() for name in self._noted]

    @property
    def generation(self) -> list[Argument]:
        """The command that reads the current generation of the index."""
        return ["HGET", self._documents.catalog_key, "generation"]

    @contextmanager
    def locked(
        self,
        ids: Sequence[str],
        lane: int,
        *,
        refuse_foreign: bool = True,
        although_full: bool = False,
        steady: bool = False,
        adding: Sequence[Sequence[Argument]] = (),
    ) -> Iterator[tuple[str, list[KeyState], int]]:
        """Hold the locks of documents; yields the lock token, the state of each key, and the server time in microseconds.

        `send` releases the locks. After an error they are released here. After an outage they lapse.

        Args:
            ids: ids of the documents.
            lane: the writer connection.
            refuse_foreign: raise for keys that are not records.
            although_full: if the server is out of memory, continue without locks and with an empty token.
            steady: postpone the end of documents that would expire during the batch. Otherwise another client could
                write a new document in their place.
            adding: commands that add words to the vocabulary.

        Raises:
            StaleIndexError: the index was dropped or created again.
            ForeignKeyError: a key is not a record, with `refuse_foreign`.

        Cost: one round trip on a single server, two on a cluster; one more if `steady` postpones an expiration.
        """
        keys = [self._documents.key(id) for id in ids]
        also = self._noted if len(ids) <= MOST else ()
        reads: list[Sequence[Argument]] = [
            ["TIME"],
            self.generation,
            *state_commands(self._documents.entry, keys, self._encoded if also else ()),
            *adding,
        ]
        token, replies = self._locks.acquire(ids, reads, lane=lane, although_full=although_full)
        try:
            (seconds, micros), generation = checked(replies[:2])
            self._documents.check_generation(generation)
            entry = self._documents.entry
            states = replies[2 : len(replies) - len(adding)]
            found = parse_states(entry, keys, states, refuse_foreign=refuse_foreign, also=also)
            checked(replies[len(replies) - len(adding) :])
            now = int(seconds) * 1_000_000 + int(micros)
            if steady:
                found = self._steadied(keys, found, now // 1000, lane)
            yield token, found, now
        except (ConnectionLostError, RequestTimeoutError):
            # The server may still execute what was sent, so the locks stay until they lapse.
            raise
        except BaseException:
            if token:
                # On a cluster, the documents may be written already: counts from before must not be kept.
                with suppress(ServerError):  # the first error is raised
                    self._connection.execute(*self._finishing(len(ids), token, ids), lane=lane)
            raise

    def _steadied(
        self, keys: Sequence[str], found: Sequence[KeyState], now: int, lane: int
    ) -> list[KeyState]:
        """Postpone the end of documents that expire within two request timeouts, and read their states again.

        Only the key's TTL changes. The field ``expires``, which readers compare, stays; `restored` sets the TTL back.
        """
        horizon = now + round(2000 * self._connection.settings.request_timeout)
        ending = [
            (position, key)
            for position, (key, state) in enumerate(zip(keys, found, strict=True))
            if state.own and state.ends_before(horizon)
        ]
        if not ending:
            return list(found)
        commands: list[list[Argument]] = []
        for _, key in ending:
            commands += [
                ["PTTL", key],
                ["PEXPIREAT", key, str(horizon), "GT"],
                *state_commands(self._documents.entry, [key]),
            ]
        replies = self._connection.pipeline(commands, lane=lane)
        again = list(found)
        for number, (position, key) in enumerate(ending):
            left, postponed, *read = replies[4 * number : 4 * number + 4]
            left, _ = checked([left, postponed])
            (state,) = parse_states(self._documents.entry, [key], read, refuse_foreign=False)
            if left > 0 and state.version == found[position].version:
                state = replace(state, ends=now + left)
            again[position] = state
        return again

    def restored(self, keys: Iterable[str], found: Iterable[KeyState]) -> list[list[Argument]]:
        """The commands that undo the postponed expirations of documents that stay unchanged."""
        pairs = zip(keys, found, strict=True)
        return [
            ["PEXPIREAT", key, str(state.ends)] for key, state in pairs if state.ends is not None
        ]

    def send(
        self,
        commands: Sequence[Sequence[Argument]],
        count: int,
        token: str,
        ids: Sequence[str],
        *,
        lane: int,
        errors: bool = False,
        changes: bytes = b"",
    ) -> list[Any]:
        """Send commands and the script that ends a batch: it releases the locks and compares the generation.

        On a cluster the script follows in a second round trip, because commands on several nodes have no order.

        Args:
            commands: the commands of the batch.
            count: number of documents they write.
            token: token of the locks; empty for none.
            ids: the locked ids.
            lane: the writer connection.
            errors: return a rejected command's error in place of its reply.
            changes: result of `changes`.

        Raises:
            StaleIndexError: the index was dropped or created again.
            ServerError: the server rejected a command, without `errors`.
        """
        finish = self._finishing(count, token, ids, changes)
        if self._connection.capabilities.cluster:
            replies = self._connection.pipeline(commands, lane=lane)
            replies.append(self._connection.execute(*finish, lane=lane))
        else:
            replies = self._connection.pipeline([*commands, finish], lane=lane)
        *found, current = replies
        checked([current] if errors else replies)
        if not current:
            raise StaleIndexError
        return found

    def _finishing(
        self, count: int, token: str, ids: Sequence[str], changes: bytes = b""
    ) -> list[Argument]:
        """The script that ends a batch (see `send`)."""
        keys = [self._documents.catalog_key, self._locks.key, self._writes]
        generation = self._documents.entry.generation
        finish: list[Argument] = ["EVAL", _FINISH, "3", *keys, generation, str(count)]
        finish += [new_unique(), token, changes, str(KEPT), str(ENDS)]
        return [*finish, *(ids if token else ())]

    def changes(
        self, found: Sequence[KeyState], commands: Sequence[Sequence[Sequence[Argument]] | None]
    ) -> bytes:
        """Return the changes of a small batch, for readers that keep counts (see `valkey_vector.engines.search.noted`).

        Args:
            found: states of the documents, from `locked`.
            commands: the commands that change each of them, none for those that stay; None for those that are deleted.

        Returns:
            The changes; nothing if they are not noted: readers count again.
        """
        if not self._noted or len(found) > MOST or not all(state.is_lasting for state in found):
            return b""
        names = frozenset(self._noted)
        changes: list[Change] = []
        for state, sent in zip(found, commands, strict=True):
            if sent is not None and not sent:
                continue
            counted = {name: state.fields[name] for name in names if name in state.fields}
            new = None if sent is None else after(counted, sent, names)
            changes.append(Change(counted if state.names else None, new))
        data = packed(changes)
        return data if len(data) <= LARGEST else b""

    def withdraw_changes(self, lane: int) -> None:
        """Let readers count again: a document was not changed as it was noted.

        Cost: one round trip.
        """
        self._connection.execute(*self._finishing(1, "", ()), lane=lane)

    def stored(
        self,
        commands: Sequence[Sequence[Argument]],
        versions: Mapping[str, bytes],
        lane: int,
        token: str = "",
        ids: Sequence[str] = (),
        *,
        last: bool = True,
        changes: bytes = b"",
    ) -> list[Any]:
        """Send the commands that store documents, and return their replies; an error takes the place of its reply.

        Args:
            commands: the commands of the batch.
            versions: id → version of each document they write.
            lane: the writer connection.
            token: token of the locks; empty for none.
            ids: the locked ids.
            last: True if these commands end the batch.
            changes: result of `changes`.

        Raises:
            StaleIndexError: the index was dropped meanwhile; the written documents were removed again.
        """
        if not last:
            return self._connection.pipeline(commands, lane=lane)
        try:
            return self.send(
                commands, len(versions), token, ids, lane=lane, errors=True, changes=changes
            )
        except StaleIndexError:
            self.undo(versions, lane)
            raise

    def undo(self, versions: Mapping[str, bytes], lane: int) -> None:
        """Remove what was written for an index that was dropped meanwhile, unless another client wrote it again."""
        ids = list(versions)
        keys = [self._documents.key(id) for id in ids]
        reads: list[list[Argument]] = [["HGET", key, VERSION] for key in keys]
        token, found = self._locks.acquire(ids, reads, lane=lane)
        commands: list[list[Argument]] = [
            ["UNLINK", key]
            for id, key, version in zip(ids, keys, found, strict=True)
            if version == versions[id]
        ]
        checked(self._connection.pipeline(commands, lane=lane))
        self._connection.execute(*self._locks.releasing(token, ids), lane=lane)
