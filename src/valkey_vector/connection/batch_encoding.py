"""Faster conversion of a batch's arguments to C structures than GLIDE's own, which takes most of a bulk write's client time.

GLIDE creates several C objects for each command and one for each argument. `encode_batch` creates a fixed number for a
whole batch. Its result is the same. GLIDE's own conversion stays in use if it is not the one known here.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from itertools import accumulate
from typing import Any, TypeVar

from cffi import CDefError  # type: ignore[import-untyped]  # it has no types

__all__ = ["encode_batch", "with_fast_batches"]

_Client = TypeVar("_Client")

_METHOD = "_convert_commands_to_c_batch_info"
_PARAMETERS = ("commands", "is_atomic")

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
    """Let a GLIDE client convert batches by `encode_batch`, if its own conversion is the known one. Returns the client."""
    ffi, own = getattr(client, "_ffi", None), getattr(client, _METHOD, None)
    if ffi is not None and own is not None and _is_known(ffi, own):
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


def _is_known(ffi: Any, own: Callable[..., Any]) -> bool:
    """Return True if GLIDE's own conversion takes and returns what `encode_batch` does."""
    if ffi.sizeof("size_t") != array(_SIZE).itemsize or _structures(ffi) != _STRUCTURES:
        return False
    if tuple(signature(own).parameters) != _PARAMETERS:
        return False
    converted = own([(0, ["PING"])], False)
    if not (isinstance(converted, tuple) and len(converted) == 2):
        return False
    batch, held = converted
    kind = ffi.typeof("BatchInfo *")
    return isinstance(held, list) and isinstance(batch, ffi.CData) and ffi.typeof(batch) is kind


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
