"""Faster conversion of a batch's arguments to C structures than GLIDE's own, which takes most of a bulk write's client time.

GLIDE creates several C objects for each command and one for each argument. `encode_batch` creates a fixed number for a
whole batch. Its result is the same, so GLIDE's own conversion stays in use if GLIDE's structures are not those known here.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any, TypeVar

from cffi import CDefError  # type: ignore[import-untyped]  # it has no types

__all__ = ["encode_batch", "with_fast_batches"]

_Client = TypeVar("_Client")

_METHOD = "_convert_commands_to_c_batch_info"

_SIZE = "Q"
"""Type code of arrays of C's ``size_t``, of 8 bytes on all platforms of GLIDE."""

_STRUCTURES = {
    "CmdInfo": {
        "request_type": "int",
        "args": "uint8_t * *",
        "arg_count": "size_t",
        "args_len": "size_t *",
    },
    "BatchInfo": {"cmd_count": "size_t", "cmds": "CmdInfo * *", "is_atomic": "_Bool"},
}
"""GLIDE's C structures: names and types of their fields, in order."""


def with_fast_batches(client: _Client) -> _Client:
    """Let a GLIDE client convert batches by `encode_batch`, if its structures are the known ones. Returns the client."""
    ffi = getattr(client, "_ffi", None)
    if ffi is None or not hasattr(client, _METHOD) or ffi.sizeof("size_t") != 8:
        return client
    if _structures(ffi) == _STRUCTURES:
        setattr(client, _METHOD, partial(encode_batch, ffi))
    return client


def encode_batch(
    ffi: Any, commands: Sequence[tuple[int, Sequence[str | bytes]]], is_atomic: bool
) -> tuple[Any, list[Any]]:
    """Convert commands to GLIDE's C structure of a batch.

    Args:
        ffi: GLIDE's foreign function interface.
        commands: GLIDE's number and the arguments of each command.
        is_atomic: True for a transaction.

    Returns:
        The structure, and the objects that must exist as long as it is used.

    Raises:
        TypeError: an argument is neither text nor bytes.
    """
    encoded = [
        arg.encode() if isinstance(arg, str) else arg for _, args in commands for arg in args
    ]
    joined = b"".join(encoded)
    lengths = list(map(len, encoded))
    start = int(ffi.cast("uintptr_t", ffi.from_buffer(joined)))
    addresses = ffi.from_buffer(array(_SIZE, list(accumulate(lengths, initial=start))))
    sizes = ffi.from_buffer("size_t[]", array(_SIZE, lengths))
    pointers = ffi.cast("const uint8_t**", addresses)
    counts = [len(args) for _, args in commands]
    firsts = accumulate(counts, initial=0)
    rows = zip(commands, firsts, counts, strict=False)
    infos = ffi.new(
        "CmdInfo[]", [(kind, pointers + at, count, sizes + at) for (kind, _), at, count in rows]
    )
    listed = ffi.new("const CmdInfo*[]", [infos + number for number in range(len(counts))])
    batch = ffi.new("BatchInfo*", (len(counts), listed, is_atomic))
    return batch, [joined, addresses, sizes, infos, listed, batch]


def _structures(ffi: Any) -> dict[str, dict[str, str]] | None:
    """Names and types of the fields of GLIDE's structures; None if a structure is missing."""
    try:
        types = {name: ffi.typeof(name).fields or () for name in _STRUCTURES}
    except CDefError:
        return None
    return {
        name: {field: described.type.cname for field, described in fields}
        for name, fields in types.items()
    }
