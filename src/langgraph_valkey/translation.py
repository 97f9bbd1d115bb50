"""Conversion between LangGraph's checkpoints and the stored form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_valkey.configuration import checkpoint_config
from langgraph_valkey.serialization import dump, load
from valkey_vector import InvalidInputError
from valkey_vector.stores import Ancestor, Channel, StoredCheckpoint, TaskWrite

__all__ = ["channels_of", "history_of", "tuple_of"]


def channels_of(
    serde: SerializerProtocol,
    checkpoint: Checkpoint,
    new_versions: ChannelVersions,
    deltas: Mapping[str, Any],
) -> Sequence[Channel]:
    """Return the channels of a checkpoint. New values are serialized now, others only if they must be sent.

    Args:
        serde: the serializer of values.
        checkpoint: the checkpoint, with the values and versions of its channels.
        new_versions: the channels whose values are new.
        deltas: the names of the delta channels.

    Raises:
        InvalidInputError: a value cannot be serialized, or a version is neither text nor a number.
    """
    values, versions = checkpoint["channel_values"], checkpoint["channel_versions"]
    found = []
    for name in dict.fromkeys([*versions, *values]):
        serialize = partial(_dumped, serde, name, values[name]) if name in values else None
        new = name in new_versions or name not in versions
        if serialize is not None and new:
            serialize = partial(_same, serialize())
        version = _encoded_version(versions[name]) if name in versions else None
        found.append(Channel(name, version, serialize, new, serialize is None and name in deltas))
    return found


def tuple_of(serde: SerializerProtocol, thread: Any, stored: StoredCheckpoint) -> CheckpointTuple:
    """Return LangGraph's tuple of a stored checkpoint.

    Args:
        serde: the serializer of values.
        thread: the thread as the configs of the tuple name it.
        stored: the checkpoint.

    Raises:
        ServerError: a stored value cannot be read.
    """
    owner = f"checkpoint {stored.place.id!r} of thread {thread!r}"
    values: dict[str, Any] = {}
    versions: ChannelVersions = {}
    for channel in stored.channels:
        if channel.version is not None:
            versions[channel.name] = _decoded_version(channel.version)
        if channel.value is not None:
            where = f"channel {channel.name!r} of {owner}"
            values[channel.name] = load(serde, channel.value, where)
    checkpoint: Any = {
        **load(serde, stored.body, owner),
        "id": stored.place.id,
        "channel_values": values,
        "channel_versions": versions,
    }
    namespace, parent = stored.place.namespace, stored.parent
    return CheckpointTuple(
        config=checkpoint_config(thread, namespace, stored.place.id),
        checkpoint=checkpoint,
        metadata=load(serde, stored.metadata, f"the metadata of {owner}"),
        parent_config=None if parent is None else checkpoint_config(thread, namespace, parent),
        pending_writes=[_pending(serde, write) for write in stored.writes],
    )


def history_of(
    serde: SerializerProtocol, channel: str, ancestors: Sequence[Ancestor]
) -> DeltaChannelHistory:
    """Return the writes of ancestors to a channel, oldest first, and the value they build on as the seed.

    Args:
        serde: the serializer of values.
        channel: the name of the delta channel.
        ancestors: the ancestors of the checkpoint, newest first.

    Raises:
        ServerError: a stored value cannot be read.
    """
    found: DeltaChannelHistory = {"writes": []}
    for ancestor in ancestors:
        newer = found["writes"]
        own = [_pending(serde, write) for write in ancestor.writes if write.channel == channel]
        found["writes"] = [*own, *newer]
        if channel in ancestor.values:
            where = f"the value of channel {channel!r}"
            found["seed"] = load(serde, ancestor.values[channel], where)
            break
    return found


def _dumped(serde: SerializerProtocol, channel: str, value: Any) -> bytes:
    return dump(serde, value, f"the value of channel {channel!r}")


def _pending(serde: SerializerProtocol, write: TaskWrite) -> PendingWrite:
    where = f"the write of task {write.task!r} to channel {write.channel!r}"
    return write.task, write.channel, load(serde, write.value, where)


def _same(value: bytes) -> bytes:
    return value


def _encoded_version(version: Any) -> str:
    """Encode a version as text that begins with a letter for its type."""
    match version:
        case str():
            return f"s{version}"
        case bool() | int():
            return f"i{int(version)}"
        case float():
            return f"f{version!r}"
        case _:
            raise InvalidInputError(
                f"a channel's version must be text or a number, not {version!r}"
            )


def _decoded_version(encoded: str) -> str | int | float:
    kind, rest = encoded[0], encoded[1:]
    if kind == "s":
        return rest
    return int(rest) if kind == "i" else float(rest)
