"""Checkpoints of a `CheckpointStore`, and their encoding as bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from valkey_vector.errors import InvalidInputError, ServerError
from valkey_vector.records.tokens import is_unicode

__all__ = [
    "Ancestor",
    "Channel",
    "Checkpoint",
    "Place",
    "StoredChannel",
    "StoredCheckpoint",
    "TaskWrite",
    "decode_ancestor",
    "decode_checkpoint",
    "encode_part",
]

_LENGTH = struct.Struct(">I")
_INDEX = struct.Struct(">i")
_SALTED = ord("s")


@dataclass(frozen=True, slots=True)
class Channel:
    """Channel of a checkpoint to store.

    Attributes:
        name: any text.
        version: version of the value; any non-empty text. None: the value has no version.
        value: returns the bytes of the value. None: the channel has no value.
        new: True if this checkpoint is the first with the value. Other values are sent only if the server lacks them.
        delta: for a channel without a value: True if the writes to ancestors determine it.
    """

    name: str
    version: str | None
    value: Callable[[], bytes] | None
    new: bool
    delta: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Checkpoint to store.

    Attributes:
        id: id; later checkpoints of a namespace have higher ids, in the order of their bytes.
        parent: id of the previous checkpoint; None for the first one.
        run: id of the run that created it; None if it is not known.
        metadata: any bytes; can be listed without the rest.
        body: any bytes.
        channels: channels with distinct names.
    """

    id: str
    parent: str | None
    run: str | None
    metadata: bytes
    body: bytes
    channels: Sequence[Channel]


@dataclass(frozen=True, slots=True)
class TaskWrite:
    """Write of a task to a checkpoint.

    Attributes:
        index: number of the write within its task. A write with a negative index replaces the previous one. A write with
            another index is stored only once.
        channel: name of the channel.
        path: path of the task.
        value: any bytes.
        task: id of the task.
    """

    index: int
    channel: str
    path: str
    value: bytes
    task: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Place of a checkpoint in its thread: namespace and id."""

    namespace: str
    id: str

    @property
    def encoded(self) -> bytes:
        """Encoded form of the place on the server."""
        return encode_part(self.namespace) + self.id.encode()

    @classmethod
    def decoded(cls, data: bytes) -> Place:
        """Decode a place."""
        namespace, _, id = data.partition(b"\0")
        return cls(_decode_part(namespace), id.decode())


@dataclass(frozen=True, slots=True)
class StoredChannel:
    """Channel of a stored checkpoint. Version and value are None as in `Channel`."""

    name: str
    version: str | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """Stored checkpoint, with its writes ordered by path, task and index."""

    place: Place
    parent: str | None
    metadata: bytes
    body: bytes
    channels: tuple[StoredChannel, ...]
    writes: tuple[TaskWrite, ...]


@dataclass(frozen=True, slots=True)
class Ancestor:
    """Contribution of an ancestor to channels: its writes in order, and the values that it stores."""

    writes: tuple[TaskWrite, ...]
    values: dict[str, bytes]


def encode_part(text: str) -> bytes:
    """Encode a text without the byte 0, followed by a byte 0. The encoding preserves the order of texts.

    Raises:
        InvalidInputError: `text` is not text, or contains a lone surrogate.
    """
    if not isinstance(text, str) or not is_unicode(text):
        raise InvalidInputError(f"a name must be text without lone surrogates, not {text!r}")
    return text.encode().replace(b"\1", b"\1\2").replace(b"\0", b"\1\1") + b"\0"


def _decode_part(encoded: bytes) -> str:
    return encoded.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1").decode()


def decode_checkpoint(reply: Sequence[Any], values: Sequence[bytes | None]) -> StoredCheckpoint:
    """Decode a checkpoint in a reply of ``checkpoints_read.lua``.

    Raises:
        ServerError: the value of a channel is missing on the server.
    """
    place, record, writes, positions = reply
    reader = _Reader(record)
    channels = _Reader(reader.sized())
    parent, _run, metadata = (reader.sized() for _ in range(3))
    found: list[StoredChannel] = []
    for position in positions:
        name, version = _decode_part(channels.sized()[:-1]), channels.sized().decode()
        if channels.byte() == _SALTED:
            channels.sized()
        value = values[position - 1] if position else None
        if position and value is None:
            raise ServerError(
                f"the value of channel {name!r} of checkpoint {Place.decoded(place).id!r} is missing on the server: "
                "delete the thread, or restore it from a backup"
            )
        found.append(StoredChannel(name, version or None, value))
    return StoredCheckpoint(
        place=Place.decoded(place),
        parent=parent.decode() or None,
        metadata=metadata,
        body=reader.rest(),
        channels=tuple(found),
        writes=_writes(writes),
    )


def decode_ancestor(reply: Sequence[Any]) -> Ancestor:
    """Decode an ancestor in a reply of ``checkpoints_history.lua``."""
    writes, values = reply
    seeds = zip(values[::2], values[1::2], strict=True)
    return Ancestor(_writes(writes), {_decode_part(name[:-1]): value for name, value in seeds})


def _writes(reply: Sequence[bytes]) -> tuple[TaskWrite, ...]:
    found = [
        write
        for task, packed in zip(reply[::2], reply[1::2], strict=True)
        for write in _task_writes(task.decode(), packed)
    ]
    return tuple(sorted(found, key=lambda write: (write.path, write.task, write.index)))


def _task_writes(task: str, packed: bytes) -> Iterator[TaskWrite]:
    reader = _Reader(packed)
    while not reader.ended:
        index = reader.index()
        channel, path = _decode_part(reader.sized()[:-1]), reader.sized().decode()
        yield TaskWrite(index, channel, path, reader.sized(), task)


class _Reader:
    """Reader of bytes that a script packed."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at >= len(self._data)

    def sized(self) -> bytes:
        """Read the next component, which follows its length."""
        (length,) = _LENGTH.unpack_from(self._data, self._at)
        start = self._at + _LENGTH.size
        self._at = start + length
        return self._data[start : self._at]

    def index(self) -> int:
        (number,) = _INDEX.unpack_from(self._data, self._at)
        self._at += _INDEX.size
        return int(number)

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def rest(self) -> bytes:
        return self._data[self._at :]
