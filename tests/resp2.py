"""The part of the RESP2 wire protocol that the stand-in for Valkey-Search needs."""

from __future__ import annotations

from asyncio import StreamReader
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Command: TypeAlias = list[bytes]


class Simple(bytes):
    """A reply that is a simple string."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A reply that is an error."""

    text: str


Reply: TypeAlias = "Simple | bytes | int | Failure | list[Reply] | None"


class ProtocolError(ValueError):
    """Input that is not RESP2."""


def encode(reply: Reply) -> bytes:
    """A reply as bytes."""
    match reply:
        case Simple():
            return b"+%s\r\n" % bytes(reply)
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
        case Failure():
            return b"-%s\r\n" % reply.text.encode("latin-1", "replace")
        case None:
            return b"$-1\r\n"
        case list():
            return b"*%d\r\n%s" % (len(reply), b"".join(map(encode, reply)))


def encode_command(words: Sequence[bytes]) -> bytes:
    """A command as bytes."""
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n%s" % (len(words), parts)


async def read_command(stream: StreamReader) -> Command:
    """Read the next command.

    Raises:
        IncompleteReadError: the client closed the connection.
    """
    header = await stream.readuntil(b"\r\n")
    if header[:1] != b"*":
        return header.split()  # an inline command
    words = []
    for _ in range(int(header[1:])):
        size = await stream.readuntil(b"\r\n")
        words.append((await stream.readexactly(int(size[1:]) + 2))[:-2])
    return words


async def read_reply(stream: StreamReader) -> Reply:
    """Read the next reply.

    Raises:
        IncompleteReadError: the server closed the connection.
        ProtocolError: the server speaks something else.
    """
    line = (await stream.readuntil(b"\r\n"))[:-2]
    kind, rest = line[:1], line[1:]
    match kind:
        case b"+":
            return Simple(rest)
        case b"-":
            return Failure(rest.decode("latin-1"))
        case b":":
            return int(rest)
        case b"$":
            return None if rest == b"-1" else (await stream.readexactly(int(rest) + 2))[:-2]
        case b"*":
            return None if rest == b"-1" else [await read_reply(stream) for _ in range(int(rest))]
        case _:
            raise ProtocolError(f"not a RESP2 reply: {line!r}")
