"""`ValkeySaver`: LangGraph checkpointer."""

# `list` is one of the methods.
# mypy: disable-error-code="valid-type"

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.base import Checkpoint as GraphCheckpoint
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_valkey.configuration import checkpoint_config, target_of, thread_of
from langgraph_valkey.serialization import AllowListSerializer, dump, load
from langgraph_valkey.translation import channels_of, history_of, tuple_of
from valkey_vector import Connection, InvalidInputError
from valkey_vector.concurrency.closing import Closing
from valkey_vector.concurrency.threads import offload
from valkey_vector.records.representation import shown_as
from valkey_vector.stores import (
    Checkpoint,
    CheckpointStore,
    TaskWrite,
    list_all_threads,
    list_thread,
)

__all__ = ["ValkeySaver"]

_DELTA_COUNTERS = "counters_since_delta_snapshot"
_VERSION_DIGITS = 16


class ValkeySaver(Closing, BaseCheckpointSaver[str]):
    """Checkpointer that keeps the state of graphs on Valkey, for ``builder.compile(checkpointer=ValkeySaver())``.

    One class serves sync and async graphs. If the server is unreachable, every method raises `ConnectionLostError`. A channel
    value is stored once for each of its versions.

    Cost: one round trip for a put or a get.

    Engines: any Valkey or Redis, without a search module; on a cluster each thread is on one node.

    Args:
        url: the server. Default: ``VALKEY_URL``, or a private server that ends with the process.
        connection: an open connection to share instead. The saver does not close it.
        ttl: time to live of a thread in seconds after its last write, > 0. The whole thread expires. None: no expiration.
        refresh_on_read: True restarts the time to live also when the thread is read.
        serde: LangGraph serializer for values. Default: `AllowListSerializer`, which creates only objects of safe classes.
        namespace: savers of different namespaces never see each other's threads. Any non-empty text.

    Raises:
        ConfigurationError: both `url` and `connection` are passed, or the namespace is invalid.
        InvalidInputError: `ttl` is not a positive number.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        connection: Connection | None = None,
        ttl: float | None = None,
        refresh_on_read: bool = False,
        serde: SerializerProtocol | None = None,
        namespace: str = "langgraph",
    ) -> None:
        super().__init__(serde=AllowListSerializer() if serde is None else serde)
        self._core: CheckpointStore = CheckpointStore(
            namespace, ttl=ttl, refresh_on_read=refresh_on_read, url=url, connection=connection
        )

    @classmethod
    def from_conn_string(cls, conn_string: str, **options: Any) -> Self:
        """Return a saver for the server at a URL. Use it in a ``with`` or ``async with`` block, as with other savers."""
        return cls(conn_string, **options)

    def __repr__(self) -> str:
        return shown_as(self, self._core)

    def close(self) -> None:
        """Release the connection, unless it was passed as `connection`."""
        self._core.close()

    def get_next_version(self, current: str | float | None, channel: None = None) -> str:  # noqa: ARG002  # LangGraph passes it
        """Return a version that is higher than the current one and different from every other branch's."""
        text = "0" if current is None else str(current)
        number = text.partition(".")[0]
        width = max(_VERSION_DIGITS, len(number) if isinstance(current, str) else 0)
        return f"{int(number) + 1:0{width}}.{secrets.token_hex(6)}"

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, or the newest of its thread and namespace. None if there is none.

        Cost: one round trip, independent of the length of the thread.
        """
        target = target_of(config)
        found = self._core.get(target.thread, target.namespace, target.id)
        return None if found is None else tuple_of(self.serde, target.given_thread, found)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Iterate over checkpoints, newest first, in pages.

        Cost: one round trip for each page. With `filter`, the metadata is read first, then the checkpoints that match.

        Args:
            config: names the thread, and the namespace (all namespaces if it has no ``checkpoint_ns``). None lists every
                thread, which scans all keys of the server.
            filter: metadata that must be equal.
            before: returns only checkpoints older than the one in this config.
            limit: the maximum number of checkpoints. None: no limit.
        """
        accept = self._accept(filter) if filter else None
        older = _id_in(before)
        if limit is not None and limit <= 0:
            return
        if config is None:
            for thread, stored in list_all_threads(
                self._core, before=older, accept=accept, limit=limit
            ):
                yield tuple_of(self.serde, thread, stored)
            return
        target = target_of(config)
        if target.id is None:
            for stored in list_thread(
                self._core,
                target.thread,
                namespace=target.given_namespace,
                before=older,
                accept=accept,
                limit=limit,
            ):
                yield tuple_of(self.serde, target.given_thread, stored)
            return
        found = self._core.get(target.thread, target.namespace, target.id)
        is_older = older is None or target.id < older
        if found is not None and is_older and (accept is None or accept(found.metadata)):
            yield tuple_of(self.serde, target.given_thread, found)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Async version of `list`."""
        found = self.list(config, filter=filter, before=before, limit=limit)
        while (checkpoint := await offload(next, found, None)) is not None:
            yield checkpoint

    def put(
        self,
        config: RunnableConfig,
        checkpoint: GraphCheckpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint.

        Cost: one round trip. Atomicity: the whole checkpoint is stored, or nothing.

        Args:
            config: names the thread and the namespace. Its ``checkpoint_id`` is the parent's.
            checkpoint: the checkpoint to store.
            metadata: metadata, on which `list` can filter.
            new_versions: the channels whose values are new. Other values are sent only if the server lacks them.

        Returns:
            The config of the stored checkpoint.

        Raises:
            InvalidInputError: a value cannot be serialized. Nothing was written.
        """
        target = target_of(config)
        full = get_checkpoint_metadata(config, metadata)
        deltas: Any = full.get(_DELTA_COUNTERS) or {}
        body = {
            key: value
            for key, value in checkpoint.items()
            if key not in ("id", "channel_values", "channel_versions")
        }
        run = full.get("run_id")
        self._core.put(
            target.thread,
            target.namespace,
            Checkpoint(
                id=checkpoint["id"],
                parent=target.id,
                run=None if run is None else str(run),
                metadata=dump(self.serde, full, "the metadata"),
                body=dump(self.serde, body, "the checkpoint"),
                channels=channels_of(self.serde, checkpoint, new_versions, deltas),
            ),
        )
        return checkpoint_config(target.given_thread, target.namespace, checkpoint["id"])

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store the writes of a task after a checkpoint. Repeating the call changes nothing.

        Cost: one round trip.

        Raises:
            InvalidInputError: a value cannot be serialized, or the config names no checkpoint. Nothing was written.
        """
        target = target_of(config)
        if target.id is None:
            raise InvalidInputError("config['configurable'] has no 'checkpoint_id' to write to")
        self._core.put_writes(
            target.thread,
            target.namespace,
            target.id,
            task_id,
            [
                TaskWrite(
                    WRITES_IDX_MAP.get(channel, position),
                    channel,
                    task_path,
                    dump(self.serde, value, f"the write to channel {channel!r}"),
                )
                for position, (channel, value) in enumerate(writes)
            ],
        )

    def delete_thread(self, thread_id: str) -> None:
        """Remove a thread with its checkpoints and writes. Cost: one round trip."""
        self._core.delete_thread(thread_of(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints that runs created, in every thread.

        A delta channel of a later checkpoint loses the part of its history that is removed.

        Cost: scans all keys of the server.
        """
        self._core.delete_runs([str(run) for run in run_ids])

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread, with all checkpoints and writes, to a new thread.

        Cost: two round trips.

        Raises:
            InvalidInputError: the target thread exists. Nothing was changed.
        """
        self._core.copy_thread(thread_of(source_thread_id), thread_of(target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove old checkpoints of threads.

        Cost: one pipeline for each 200 threads.

        Args:
            thread_ids: the ids of the threads.
            strategy: ``keep_latest`` keeps the newest checkpoint of each namespace, and the ancestors that its delta
                channels build on. ``delete`` removes the threads.

        Raises:
            InvalidInputError: the strategy is unknown.
        """
        threads = [thread_of(thread) for thread in thread_ids]
        match strategy:
            case "keep_latest":
                self._core.prune(threads)
            case "delete":
                self._core.delete_threads(threads)
            case _:
                raise InvalidInputError(
                    f"strategy must be 'keep_latest' or 'delete', not {strategy!r}"
                )

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return the writes of a checkpoint's ancestors to channels, back to the nearest stored value.

        Cost: one round trip.
        """
        if not channels:
            return {}
        target = target_of(config)
        ancestors = self._core.history(target.thread, target.namespace, target.id, channels)
        return {channel: history_of(self.serde, channel, ancestors) for channel in channels}

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Async version of `get_tuple`."""
        return await offload(self.get_tuple, config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: GraphCheckpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Async version of `put`."""
        return await offload(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Async version of `put_writes`."""
        await offload(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Async version of `delete_thread`."""
        await offload(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Async version of `delete_for_runs`."""
        await offload(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Async version of `copy_thread`."""
        await offload(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Async version of `prune`."""
        await offload(self.prune, thread_ids, strategy=strategy)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Async version of `get_delta_channel_history`."""
        return await offload(self.get_delta_channel_history, config=config, channels=channels)

    def _accept(self, filter: Mapping[str, Any]) -> Callable[[bytes], bool]:
        """Return a predicate on the stored metadata of a checkpoint."""

        def accept(metadata: bytes) -> bool:
            found = load(self.serde, metadata, "the metadata of a checkpoint")
            return all(found.get(key) == value for key, value in filter.items())

        return accept


def _id_in(before: RunnableConfig | None) -> str | None:
    return None if before is None else target_of(before, thread_needed=False).id
