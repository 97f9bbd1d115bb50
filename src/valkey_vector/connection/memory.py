"""Memory settings of a server that decide whether it may evict keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from valkey_vector.connection.client import Connection
from valkey_vector.errors import ServerError

__all__ = ["MEMORY_COMMANDS", "ServerMemory", "server_memory"]

MEMORY_COMMANDS = (("INFO", "memory"), ("INFO", "stats"))
"""Commands whose replies `ServerMemory.of` reads."""


@dataclass(frozen=True, slots=True)
class ServerMemory:
    """Eviction settings of a server.

    Attributes:
        limit: maxmemory in bytes; 0 for no limit.
        policy: maxmemory-policy; empty if the user has no permission to read it.
        evicted: number of keys evicted since the server started.
    """

    limit: int
    policy: str
    evicted: int

    @classmethod
    def of(cls, replies: list[Any]) -> ServerMemory:
        """Read the replies to `MEMORY_COMMANDS`. Values of a rejected command are unknown."""
        info: dict[str, str] = {}
        for reply in replies:
            if not isinstance(reply, ServerError):
                for text in _texts(reply):
                    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
                    for name, _, value in pairs:  # of several nodes, the largest value counts
                        if _number(value) >= _number(info.get(name, "")):
                            info[name] = value.strip()
        return cls(
            int(_number(info.get("maxmemory", "0"))),
            info.get("maxmemory_policy", ""),
            int(_number(info.get("evicted_keys", "0"))),
        )

    @property
    def evicts_any_key(self) -> bool:
        """True if the server can evict keys without a time to live."""
        return self.limit > 0 and self.policy.startswith("allkeys-")


def server_memory(connection: Connection) -> ServerMemory:
    """Fetch the memory settings of a server.

    Raises:
        ConnectionLostError, RequestTimeoutError: an outage.

    Cost:
        One round trip.
    """
    return ServerMemory.of(connection.pipeline(MEMORY_COMMANDS, retry=True))


def _texts(reply: Any) -> list[str]:
    """Texts of an INFO reply: one for each node of a cluster."""
    replies = reply.values() if isinstance(reply, Mapping) else [reply]
    return [each.decode(errors="replace") for each in replies if isinstance(each, bytes)]


def _number(text: str) -> float:
    return float(text) if text.strip().isdecimal() else -1.0
