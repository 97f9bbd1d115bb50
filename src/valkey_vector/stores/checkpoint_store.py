"""`CheckpointStore`: stores the checkpoints of threads, such as the steps of a graph that can be resumed.

A thread is stored in two keys of one cluster slot, ``_checkpoint:<store>:{t<thread>}:d`` and ``…:i``, for any number of
checkpoints. ``checkpoints_common.lua`` describes them. Each change is one script call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from valkey_vector.concurrency.async_versions import async_version
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
"""Maximum number of checkpoints in one reply."""

METADATA_PAGE = 1000
"""Maximum number of checkpoints in one reply with metadata only."""

PAGE_BYTES = 1_000_000
"""Size in bytes at which a reply ends."""

_THREADS = 200
"""Number of threads in one pipeline."""

_TAG = "{t"
_DATA, _INDEX = b"}:d", b"}:i"

_PUT = Script.load("checkpoints_common", "checkpoints_put")
_WRITE = Script.load("checkpoints_common", "checkpoints_write")
_READ = Script.load("checkpoints_common", "checkpoints_read", only_reads=True)
_READ_AND_KEEP = Script.load("checkpoints_common", "checkpoints_read")
_HISTORY = Script.load("checkpoints_common", "checkpoints_history", only_reads=True)
_REMOVE = Script.load("checkpoints_common", "checkpoints_remove")
_DUMP = Script.load("checkpoints_common", "checkpoints_copy", only_reads=True)
_COPY = Script.load("checkpoints_common", "checkpoints_copy")


class CheckpointStore(Connected):
    """Store of checkpoints by thread, namespace and id. Any text, even the empty text, names a thread or a namespace.

    Each version of a channel's value is stored once. Any number of clients can write to the same thread. Each method
    except the iterators has an async version with the prefix ``a``.

    Args:
        name: any non-empty text. Stores with different names do not share threads.
        ttl: seconds, > 0, after the last write until a thread expires as a whole. None: threads do not expire.
        refresh_on_read: reading a checkpoint of a thread also restarts its time to live.
        url: the server; see `Connected`.
        connection: an open connection to use instead. It is not closed with the store.

    Raises:
        ConfigurationError: the name is not valid, or both `url` and `connection` are passed.
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
        super().__init__(name, url=url, connection=connection)

    def put(self, thread: str, namespace: str, checkpoint: Checkpoint) -> None:
        """Store a checkpoint. Replaces the checkpoint with the same id.

        Raises:
            InvalidInputError: a name is not text.
            ServerError: the server cannot be reached, or refused the checkpoint.

        Cost: one round trip. A second one sends all values if the server lacks a value of an ancestor, for example
            because the thread expired.

        Atomicity: the checkpoint is stored as a whole or not at all. The command is idempotent and is sent again
            after a lost connection.
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
        """Store the writes of a task to a checkpoint. The checkpoint need not exist yet.

        Args:
            thread: thread of the checkpoint.
            namespace: namespace of the checkpoint.
            id: id of the checkpoint.
            task: id of the task.
            writes: the writes. Their `task` is ignored.

        Cost: one round trip, sent again after a lost connection.
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
        """Return a checkpoint. Returns None if it does not exist.

        Args:
            thread: thread of the checkpoint.
            namespace: namespace of the checkpoint.
            id: id of the checkpoint. None: the newest in the namespace.

        Cost: one round trip.
        """
        found, _ = self._read(thread, ["one", "1", encode_part(namespace), id or ""])
        return found[0] if found else None

    def page(
        self, thread: str, namespace: str | None, after: Place | None, limit: int
    ) -> tuple[list[StoredCheckpoint], bool]:
        """Return one page of the checkpoints of a thread, newest first.

        Args:
            thread: the thread to read.
            namespace: read only this namespace. None: all namespaces, which costs the server time for each of them.
            after: continue after this place. None: start with the newest.
            limit: maximum number of checkpoints. A page holds at most 100.

        Returns:
            The checkpoints, and True if there may be more.

        Cost: one round trip.
        """
        return self._read(thread, _where(namespace, after, min(limit, PAGE)))

    def metadata_page(
        self, thread: str, namespace: str | None, after: Place | None, limit: int = METADATA_PAGE
    ) -> tuple[list[tuple[Place, bytes]], bool]:
        """Return one page of places and metadata of the checkpoints of a thread. Takes the arguments of `page`.

        Cost: one round trip.
        """
        found, _, more = self._reply(thread, _where(namespace, after, limit, "metadata "))
        return [(Place.decoded(place), metadata) for place, metadata in found], bool(more)

    def at(self, thread: str, places: Sequence[Place]) -> Iterator[StoredCheckpoint]:
        """Iterate over the checkpoints at places, in the same order. Skips places without a checkpoint.

        Cost: one round trip for each 100 checkpoints or megabyte.
        """
        rest = list(places)
        while rest:
            wanted = [place.encoded for place in rest[:PAGE]]
            found, more = self._read(thread, ["these", str(PAGE), *wanted])
            yield from found
            # If there is more, the reply left out the places after the last checkpoint. Otherwise they do not exist.
            rest = rest[rest.index(found[-1].place) + 1 :] if more else rest[PAGE:]

    def threads(self) -> Iterator[list[str]]:
        """Iterate over the names of all threads, in batches. Scans all keys of the server."""
        for keys in self._keyspace.scan(self._connection, _TAG):
            names = [self._keyspace.name(key) for key in keys if key.endswith(_INDEX)]
            if names:
                yield [unescape(name[len(_TAG) : -len(_INDEX)]) for name in names]

    def newest(self, threads: Sequence[str], before: Place | None) -> list[Place | None]:
        """Return the place of the newest checkpoint of each thread. None for a thread without a checkpoint.

        Args:
            threads: the threads to read.
            before: consider only checkpoints after this place, as in `page`.

        Cost: one pipeline for each 200 threads.
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
        """Return the writes of a checkpoint's ancestors to channels, newest ancestor first.

        For each channel, the history ends at the first ancestor that stores a value of the channel.

        Args:
            thread: thread of the checkpoint.
            namespace: namespace of the checkpoint.
            id: id of the checkpoint. None: the newest in the namespace.
            channels: names of the channels.

        Cost: one round trip.
        """
        arguments: list[Argument] = [encode_part(namespace), id or ""]
        arguments += map(encode_part, channels)
        reply = _HISTORY.run(self._connection, self._keys(thread), arguments, retry=True)
        return [decode_ancestor(ancestor) for ancestor in reply]

    def delete_thread(self, thread: str) -> None:
        """Remove a thread and all its checkpoints. Cost: one round trip."""
        self._connection.execute("UNLINK", *self._keys(thread))

    def delete_runs(self, runs: Sequence[str]) -> int:
        """Remove the checkpoints of runs from all threads, with their writes. Returns the number of checkpoints.

        Cost: scans all keys of the server, and calls a script for each thread.
        """
        checked = check_texts(runs, "run id")
        if not checked:
            return 0
        return sum(self._remove(threads, ["runs", *checked]) for threads in self.threads())

    def prune(self, threads: Sequence[str]) -> int:
        """Remove old checkpoints. Returns their number.

        Keeps the newest checkpoint of each namespace, and the ancestors that its delta channels need.

        Cost: one pipeline for each 200 threads.
        """
        return self._remove(check_texts(threads, "thread id"), ["older"])

    def delete_threads(self, threads: Sequence[str]) -> None:
        """Remove threads and all their checkpoints. Cost: one pipeline for each 1000 threads."""
        for part in in_parts(dict.fromkeys(check_texts(threads, "thread id"))):
            commands: list[list[Argument]] = [["UNLINK", *self._keys(thread)] for thread in part]
            succeeded(self._connection.pipeline(commands))

    def copy_thread(self, source: str, target: str) -> None:
        """Copy a thread to a new thread. Does nothing if the source does not exist.

        The copy gets the time to live of this store.

        Raises:
            InvalidInputError: the target exists. Nothing was changed.

        Cost: two round trips.

        Atomicity: the copy becomes visible as a whole.
        """
        dumped = _DUMP.run(self._connection, self._keys(source), [], retry=True)
        if dumped[1] is None:
            return
        if not _COPY.run(self._connection, self._keys(target), [self._ttl, *dumped]):
            raise InvalidInputError(
                f"thread {target!r} exists already: delete it first, or copy to another thread"
            )

    def clear(self) -> None:
        """Remove all threads of this store. Scans all keys of the server."""
        self._keyspace.remove(self._connection)

    aput = async_version(put)
    aput_writes = async_version(put_writes)
    aget = async_version(get)
    apage = async_version(page)
    ametadata_page = async_version(metadata_page)
    ahistory = async_version(history)
    adelete_thread = async_version(delete_thread)
    adelete_runs = async_version(delete_runs)
    aprune = async_version(prune)
    adelete_threads = async_version(delete_threads)
    acopy_thread = async_version(copy_thread)
    aclear = async_version(clear)

    def _keys(self, thread: str) -> list[Argument]:
        (checked,) = check_texts([thread], "thread id")
        stem = self._keyspace.key(_TAG + escape(checked))
        return [stem + _DATA, stem + _INDEX]

    def _reply(self, thread: str, what: Sequence[Argument]) -> Any:
        kind, limit, *rest = what
        arguments = [kind, self._read_ttl, limit, str(PAGE_BYTES), *rest]
        script = _READ if self._read_ttl == "0" else _READ_AND_KEEP
        return script.run(self._connection, self._keys(thread), arguments, retry=True)

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
    namespace: str | None, after: Place | None, limit: int, prefix: str = ""
) -> list[Argument]:
    """Return the script arguments that select checkpoints: kind, limit, namespace and id."""
    if namespace is not None:
        return [f"{prefix}in", str(limit), encode_part(namespace), after.id if after else ""]
    if after is None:
        return [f"{prefix}all", str(limit), "", ""]
    return [f"{prefix}all", str(limit), encode_part(after.namespace), after.id]


def _channels(channels: Iterable[Channel], *, all_values: bool = False) -> list[Argument]:
    """Return the script arguments of channels. Computes all values before anything is sent."""
    arguments: list[Argument] = []
    for channel in channels:
        kind, value = "d" if channel.delta else "-", b""
        if channel.value is not None:
            sent = channel.new or all_values or channel.version is None
            kind, value = ("v", channel.value()) if sent else ("k", b"")
        arguments += [encode_part(channel.name), channel.version or "", kind, value]
    return arguments
