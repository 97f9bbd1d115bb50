"""Memory settings of a server that decide whether it may evict keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from valkey_vector.connection.client import Connection
from valkey_vector.errors import ServerError

__all__ = ["MEMORY_COMMANDS", "ServerMemory", "server_memory"]

MEMORY_COMMANDS = (("INFO", "memory"), ("INFO", "stats"))
"""The commands whose replies `ServerMemory.of` reads."""


@dataclass(frozen=True, slots=True)
class ServerMemory:
    """Whether a server evicts keys when it is full.

    Attributes:
        limit: maxmemory in bytes; 0 for none.
        policy: maxmemory-policy, empty where the user may not know it.
        evicted: keys evicted since the server started.
    """

    limit: int
    policy: str
    evicted: int

    @classmethod
    def of(cls, replies: list[Any]) -> ServerMemory:
        """Read the replies to `MEMORY_COMMANDS`; one that is refused counts as unknown."""
        info: dict[str, str] = {}
        for reply in replies:
            if not isinstance(reply, ServerError):
                for text in _texts(reply):
                    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
                    for name, _, value in pairs:  # of several nodes the one that evicts counts
                        if _number(value) >= _number(info.get(name, "")):
                            info[name] = value.strip()
        return cls(
            int(_number(info.get("maxmemory", "0"))),
            info.get("maxmemory_policy", ""),
            int(_number(info.get("evicted_keys", "0"))),
        )

    @property
    def evicts_any_key(self) -> bool:
        """Whether keys without a time to live may be evicted."""
        return self.limit > 0 and self.policy.startswith("allkeys-")


def server_memory(connection: Connection) -> ServerMemory:
    """The memory settings of a server; one round trip.

    Raises:
        ServerError: an outage.
    """
    return ServerMemory.of(connection.pipeline(MEMORY_COMMANDS, retry=True))


def _texts(reply: Any) -> list[str]:
    """The texts of an INFO reply; a cluster client may have one for each node."""
    replies = reply.values() if isinstance(reply, Mapping) else [reply]
    return [each.decode(errors="replace") for each in replies if isinstance(each, bytes)]


def _number(text: str) -> float:
    return float(text) if text.strip().isdecimal() else -1.0
