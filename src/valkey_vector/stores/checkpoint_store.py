"""`CheckpointStore`: the checkpoints of threads, such as the steps of a graph that can be resumed.

A thread lies in two keys of one cluster slot, ``_checkpoint:<store>:{t<thread>}:d`` and ``…:i``, whatever the number of its
checkpoints; ``checkpoints_common.lua`` describes them. Every change is one script.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.errors import InvalidInputError
from valkey_vector.records.tokens import escape, unescape
from valkey_vector.storage.keyspace import Keyspace, check_texts, in_parts, lifetime, succeeded
from valkey_vector.stores.checkpoint_records import (
    Ancestor,
    Channel,
    Checkpoint,
    Place,
    StoredCheckpoint,
    TaskWrite,
    decode_ancestor,
    decode_checkpoint,
    encode_part,
)
from valkey_vector.stores.scripts import Call, Script

__all__ = ["CheckpointStore"]

PAGE = 100
"""Most checkpoints in one reply."""

METADATA_PAGE = 1000
"""Most checkpoints of which one reply holds the metadata alone."""

PAGE_BYTES = 1_000_000
"""A reply that has reached so many bytes ends there."""

_THREADS = 200
"""Threads that one pipeline looks through."""

_TAG = "{t"
_DATA, _INDEX = b"}:d", b"}:i"

_PUT = Script.load("checkpoints_common", "checkpoints_put")
_WRITE = Script.load("checkpoints_common", "checkpoints_write")
_READ = Script.load("checkpoints_common", "checkpoints_read")
_HISTORY = Script.load("checkpoints_common", "checkpoints_history")
_REMOVE = Script.load("checkpoints_common", "checkpoints_remove")
_COPY = Script.load("checkpoints_common", "checkpoints_copy")


class CheckpointStore(Connected):
    """Checkpoints by thread, namespace and id. Any text is the name of a thread or a namespace, also an empty one.

    A value of a channel is stored once for each of its versions. Any number of threads and processes may write to one
    thread of checkpoints. Every method but the iterators has an async version named with a leading ``a``.

    Args:
        name: stores of different names never see each other's threads; any non-empty text.
        ttl: seconds after the last write until a thread is gone as a whole; None keeps it.
        refresh_on_read: start that time again also when checkpoints of the thread are read.
        url: the server; see `Connected`.
        connection: an open one to share instead.

    Raises:
        ConfigurationError: the name is not acceptable, or both url and connection are given.
        InvalidInputError: `ttl` is not a positive number.
    """

    def __init__(
        self,
        name: str = "default",
        *,
        ttl: float | None = None,
        refresh_on_read: bool = False,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._keyspace = Keyspace("checkpoint", name)
        milliseconds = lifetime(ttl)
        self._ttl = str(milliseconds or 0)
        self._read_ttl = self._ttl if refresh_on_read else "0"
        super().__init__(url=url, connection=connection)

    def put(self, thread: str, namespace: str, checkpoint: Checkpoint) -> None:
        """Store a checkpoint, in place of one with the same id. Stored whole or not at all.

        One round trip. If the server lacks a value that an ancestor should have stored, for instance because the thread
        expired meanwhile, a second one sends all values. It is sent again after an outage, which changes nothing if it was
        stored before.

        Raises:
            InvalidInputError: a name is not text.
            ServerError: the server cannot be reached, or refused it.
        """
        keys = self._keys(thread)
        _check_id(checkpoint.id)
        check_texts([checkpoint.parent or "", checkpoint.run or ""], "checkpoint's parent or run")
        head: list[Argument] = [
            encode_part(namespace), checkpoint.id, checkpoint.parent or "", self._ttl, checkpoint.run or "",
            checkpoint.metadata, checkpoint.body,
        ]  # fmt: skip
        missing = _PUT.run(
            self._connection, keys, [*head, *_channels(checkpoint.channels)], retry=True
        )
        if missing:
            every = _channels(checkpoint.channels, all_values=True)
            _PUT.run(self._connection, keys, [*head, *every], retry=True)

    def put_writes(
        self, thread: str, namespace: str, id: str, task: str, writes: Sequence[TaskWrite]
    ) -> None:
        """Store writes of a task to a checkpoint, which need not exist yet. One round trip, repeated as for `put`.

        Args:
            thread: of the checkpoint.
            namespace: of the checkpoint.
            id: of the checkpoint.
            task: the id of the task.
            writes: see `TaskWrite`; their `task` is not looked at.
        """
        if not writes:
            return
        _check_id(id)
        check_texts([task, *(write.path for write in writes)], "task's id or path")
        arguments: list[Argument] = [Place(namespace, id).encoded, task, self._ttl]
        for write in writes:
            arguments += [str(write.index), encode_part(write.channel), write.path, write.value]
        _WRITE.run(self._connection, self._keys(thread), arguments, retry=True)

    def get(self, thread: str, namespace: str, id: str | None = None) -> StoredCheckpoint | None:
        """A checkpoint, or the newest one of a namespace; None if there is none. One round trip.

        Args:
            thread: of the checkpoint.
            namespace: of the checkpoint.
            id: which; None for the newest.
        """
        found, _ = self._read(thread, ["one", "1", encode_part(namespace), id or ""])
        return found[0] if found else None

    def page(
        self, thread: str, namespace: str | None, after: Place | None, limit: int
    ) -> tuple[list[StoredCheckpoint], bool]:
        """Checkpoints of a thread, newest first, in one round trip.

        Args:
            thread: of which.
            namespace: of this one; None for all. That costs the server time for each namespace of the thread.
            after: go on after this place; None to begin.
            limit: at most so many.

        Returns:
            The checkpoints, and whether there may be more.
        """
        return self._read(thread, _where(namespace, after, min(limit, PAGE)))

    def metadata_page(
        self, thread: str, namespace: str | None, after: Place | None, limit: int = METADATA_PAGE
    ) -> tuple[list[tuple[Place, bytes]], bool]:
        """Where the checkpoints of a thread lie, with their metadata, in one round trip; otherwise as `page`."""
        found, _, more = self._reply(thread, _where(namespace, after, limit, "metadata "))
        return [(Place.decoded(place), metadata) for place, metadata in found], bool(more)

    def at(self, thread: str, places: Sequence[Place]) -> Iterator[StoredCheckpoint]:
        """The checkpoints at places that exist, in their order. One round trip for each 100, or megabyte."""
        rest = list(places)
        while rest:
            wanted = [place.encoded for place in rest[:PAGE]]
            found, more = self._read(thread, ["these", str(PAGE), *wanted])
            yield from found
            # With more to come, the ones after the last one returned were left out. Otherwise they do not exist.
            rest = rest[rest.index(found[-1].place) + 1 :] if more else rest[PAGE:]

    def threads(self) -> Iterator[list[str]]:
        """The names of all threads, in batches. Looks through all keys of the server with SCAN."""
        for keys in self._keyspace.scan(self._connection, _TAG):
            names = [self._keyspace.name(key) for key in keys if key.endswith(_INDEX)]
            if names:
                yield [unescape(name[len(_TAG) : -len(_INDEX)]) for name in names]

    def newest(self, threads: Sequence[str], before: Place | None) -> list[Place | None]:
        """The place of the newest checkpoint of each thread, in one pipeline for each 200 threads.

        Args:
            threads: which.
            before: only checkpoints after this place, as in `page`.
        """
        found: list[Place | None] = []
        for part in in_parts(threads, _THREADS):
            what, *rest = _where(None, before, 1, "metadata ")
            arguments: list[Argument] = [what, "0", rest[0], str(PAGE_BYTES), *rest[1:]]
            calls: list[Call] = [(self._keys(thread), arguments) for thread in part]
            for places, *_ in _READ.run_many(self._connection, calls, retry=True):
                found.append(Place.decoded(places[0][0]) if places else None)
        return found

    def history(
        self, thread: str, namespace: str, id: str | None, channels: Sequence[str]
    ) -> list[Ancestor]:
        """What ancestors of a checkpoint wrote to channels, newest ancestor first, in one round trip.

        For each channel the walk along the parents ends at the first ancestor that stores a value of it.

        Args:
            thread: of the checkpoint.
            namespace: of the checkpoint.
            id: of the checkpoint; None for the newest.
            channels: by name.
        """
        arguments: list[Argument] = [encode_part(namespace), id or ""]
        arguments += map(encode_part, channels)
        reply = _HISTORY.run(self._connection, self._keys(thread), arguments, retry=True)
        return [decode_ancestor(ancestor) for ancestor in reply]

    def delete_thread(self, thread: str) -> None:
        """Remove a thread with everything in it. One round trip."""
        self._connection.execute("UNLINK", *self._keys(thread))

    def delete_runs(self, runs: Sequence[str]) -> int:
        """Remove the checkpoints of runs from every thread, with their writes; returns how many there were.

        Looks through all keys of the server with SCAN, and runs a script on each thread.
        """
        wanted = check_texts(runs, "run id")
        if not wanted:
            return 0
        return sum(self._remove(threads, ["runs", *wanted]) for threads in self.threads())

    def prune(self, threads: Sequence[str]) -> int:
        """Keep the newest checkpoint of each namespace, and the ancestors that its delta channels are made from.

        One pipeline for each 200 threads. Returns how many checkpoints were removed.
        """
        return self._remove(check_texts(threads, "thread id"), ["older"])

    def delete_threads(self, threads: Sequence[str]) -> None:
        """Remove threads with everything in them. One pipeline for each 1000."""
        for part in in_parts(dict.fromkeys(check_texts(threads, "thread id"))):
            commands: list[list[Argument]] = [["UNLINK", *self._keys(thread)] for thread in part]
            succeeded(self._connection.pipeline(commands))

    def copy_thread(self, source: str, target: str) -> None:
        """Copy a thread to one that does not exist yet. Two round trips; the copy appears as a whole.

        A source that does not exist copies nothing. The copy has this store's time to live.

        Raises:
            InvalidInputError: the target exists. Nothing was changed.
        """
        dumped = _COPY.run(self._connection, self._keys(source), [], retry=True)
        if dumped[1] is None:
            return
        if not _COPY.run(self._connection, self._keys(target), [self._ttl, *dumped]):
            raise InvalidInputError(
                f"thread {target!r} exists already; delete it first, or copy to another one"
            )

    def clear(self) -> None:
        """Remove every thread of this store. Looks through all keys of the server with SCAN."""
        self._keyspace.remove(self._connection)

    aput = twin(put)
    aput_writes = twin(put_writes)
    aget = twin(get)
    apage = twin(page)
    ametadata_page = twin(metadata_page)
    ahistory = twin(history)
    adelete_thread = twin(delete_thread)
    adelete_runs = twin(delete_runs)
    aprune = twin(prune)
    adelete_threads = twin(delete_threads)
    acopy_thread = twin(copy_thread)
    aclear = twin(clear)

    def _keys(self, thread: str) -> list[Argument]:
        (checked,) = check_texts([thread], "thread id")
        stem = self._keyspace.key(_TAG + escape(checked))
        return [stem + _DATA, stem + _INDEX]

    def _reply(self, thread: str, what: Sequence[Argument]) -> Any:
        kind, most, *rest = what
        arguments = [kind, self._read_ttl, most, str(PAGE_BYTES), *rest]
        return _READ.run(self._connection, self._keys(thread), arguments, retry=True)

    def _read(self, thread: str, what: Sequence[Argument]) -> tuple[list[StoredCheckpoint], bool]:
        checkpoints, values, more = self._reply(thread, what)
        return [decode_checkpoint(reply, values) for reply in checkpoints], bool(more)

    def _remove(self, threads: Iterable[str], arguments: Sequence[Argument]) -> int:
        removed = 0
        for part in in_parts(threads, _THREADS):
            calls: list[Call] = [(self._keys(thread), arguments) for thread in part]
            removed += sum(_REMOVE.run_many(self._connection, calls))
        return removed


def _check_id(id: str) -> None:
    check_texts([id], "checkpoint id")
    if not id:
        raise InvalidInputError("a checkpoint id must not be empty")


def _where(
    namespace: str | None, after: Place | None, most: int, prefix: str = ""
) -> list[Argument]:
    """The arguments that say which checkpoints to read: what, how many, namespace and id."""
    if namespace is not None:
        return [f"{prefix}in", str(most), encode_part(namespace), after.id if after else ""]
    if after is None:
        return [f"{prefix}all", str(most), "", ""]
    return [f"{prefix}all", str(most), encode_part(after.namespace), after.id]


def _channels(channels: Iterable[Channel], *, all_values: bool = False) -> list[Argument]:
    """The arguments for channels; all values are made before anything is sent."""
    arguments: list[Argument] = []
    for channel in channels:
        kind, value = "d" if channel.delta else "-", b""
        if channel.value is not None:
            sent = channel.new or all_values or channel.version is None
            kind, value = ("v", channel.value()) if sent else ("k", b"")
        arguments += [encode_part(channel.name), channel.version or "", kind, value]
    return arguments
