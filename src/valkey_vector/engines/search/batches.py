"""Commands that change documents of the search engine, sent in batches: under locks, and for the index that is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from valkey_vector.connection import Argument
from valkey_vector.connection.lua import read_lua
from valkey_vector.engines.search.key_states import KeyState, look, states
from valkey_vector.engines.search.locks import Locks
from valkey_vector.errors import ConnectionLostError, RequestTimeoutError, ServerError
from valkey_vector.storage.hashes import Documents, checked
from valkey_vector.storage.record_version import VERSION
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["Batches"]

_FINISH = read_lua(__package__, "batches_finish")


class Batches:
    """Sends batches for the documents of one index.

    Args:
        documents: of the index.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._connection = documents.connection
        self._locks = Locks(documents.connection, documents.entry.name)

    @property
    def generation(self) -> list[Argument]:
        """The command that reads the generation of the index that is there."""
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
    ) -> Iterator[tuple[str, list[KeyState]]]:
        """Hold the locks of documents, and give their keys as they are then.

        `send` releases the locks; after a failure they are released here, after an outage they lapse by themselves.

        Args:
            ids: of the documents.
            lane: connection to use.
            refuse_foreign: raise for keys that are not records.
            although_full: go on without locks, and with an empty token, where the server is too full for them.
            steady: see to it that none of the documents expires before the work is done, after which somebody else
                might write another one in its place. Costs a round trip where one would.

        Raises:
            StaleIndexError: the index was dropped or created anew.
            ForeignKeyError: see `refuse_foreign`.
        """
        keys = [self._documents.key(id) for id in ids]
        reads: list[list[Argument]] = [["TIME"], self.generation, *look(keys)]
        token, replies = self._locks.acquire(ids, reads, lane=lane, although_full=although_full)
        try:
            (seconds, micros), generation = checked(replies[:2])
            self._documents.check_generation(generation)
            found = states(self._documents.entry, keys, replies[2:], refuse_foreign=refuse_foreign)
            if steady:
                found = self._steadied(keys, found, int(seconds) * 1000 + int(micros) // 1000, lane)
            yield token, found
        except (ConnectionLostError, RequestTimeoutError):
            # What was sent may still be carried out: the locks lapse after the time that this may take.
            raise
        except BaseException:
            if token:
                with suppress(ServerError):  # the failure itself is what is raised
                    self._connection.execute(*self._locks.releasing(token, ids), lane=lane)
            raise

    def _steadied(
        self, keys: Sequence[str], found: Sequence[KeyState], now: int, lane: int
    ) -> list[KeyState]:
        """Put off the end of documents that expire within the time a request may take, and look at them again.

        Their own ``expires`` stays, by which readers go; whoever changes them sets the key's end back to it.
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
            commands += [["PTTL", key], ["PEXPIREAT", key, str(horizon), "GT"], *look([key])]
        replies = self._connection.pipeline(commands, lane=lane)
        again = list(found)
        for number, (position, key) in enumerate(ending):
            left, prolonged, *looked = replies[4 * number : 4 * number + 4]
            left, _ = checked([left, prolonged])
            (state,) = states(self._documents.entry, [key], looked, refuse_foreign=False)
            if left > 0 and state.version == found[position].version:
                state = replace(state, ends=now + left)
            again[position] = state
        return again

    def restored(self, keys: Iterable[str], found: Iterable[KeyState]) -> list[list[Argument]]:
        """The commands that set the ends of documents back that were put off, and which were then left as they are."""
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
    ) -> list[Any]:
        """Send commands, and with them or (in a cluster, where order holds on one node only) after them what ends a batch.

        Raises:
            StaleIndexError: the index was dropped or created anew.
            ServerError: a command was refused, unless `errors` are wanted in their command's place.
        """
        keys = [self._documents.catalog_key, self._locks.key]
        generation = self._documents.entry.generation
        finish: list[Argument] = ["EVAL", _FINISH, "2", *keys, generation, str(count), token]
        finish += ids if token else []
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

    def stored(
        self,
        commands: Sequence[Sequence[Argument]],
        versions: Mapping[str, bytes],
        lane: int,
        token: str = "",
        ids: Sequence[str] = (),
        *,
        last: bool = True,
    ) -> list[Any]:
        """The replies of commands that write documents, an error in its command's place.

        Args:
            commands: what to send.
            versions: of the documents, by id.
            lane: connection to use.
            token: of the locks, if any are held.
            ids: that are locked.
            last: these commands end the batch.

        Raises:
            StaleIndexError: the index was dropped meanwhile; what was written is removed again.
        """
        if not last:
            return self._connection.pipeline(commands, lane=lane)
        try:
            return self.send(commands, len(versions), token, ids, lane=lane, errors=True)
        except StaleIndexError:
            self.undo(versions, lane)
            raise

    def undo(self, versions: Mapping[str, bytes], lane: int) -> None:
        """Remove what was written for an index that was dropped meanwhile, unless somebody else has written there."""
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
