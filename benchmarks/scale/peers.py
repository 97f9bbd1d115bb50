"""The other stores by name. Those that are installed can take part; the benchmark needs none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from benchmarks.scale.framework_peers import (
    LangChainAws,
    LangChainInMemory,
    LangChainRedis,
    ValkeyHaystack,
)
from benchmarks.scale.local_peers import Chroma, LanceDb, QdrantLocal
from benchmarks.scale.operations import Store

__all__ = ["PEERS", "Peer", "installed"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another store.

    Attributes:
        package: the distribution that must be installed.
        open: opens it empty, for vectors of a dimension, at the URL of the server that it needs.
        server: the server that it needs, if any.
    """

    package: str
    open: Callable[[int, str], Store]
    server: Literal["", "Valkey-Search", "RediSearch"] = ""


def installed() -> list[str]:
    """Return the names of the peers that are installed."""
    found = []
    for name, peer in PEERS.items():
        try:
            version(peer.package)
        except PackageNotFoundError:
            continue
        found.append(name)
    return found


PEERS = {
    "chroma": Peer("chromadb", Chroma),
    "qdrant local": Peer("qdrant-client", QdrantLocal),
    "lancedb": Peer("lancedb", LanceDb),
    "LangChain in memory": Peer("langchain-core", LangChainInMemory),
    "langchain-aws": Peer("langchain-aws", LangChainAws, "Valkey-Search"),
    "langchain-redis": Peer("langchain-redis", LangChainRedis, "RediSearch"),
    "valkey-haystack": Peer("valkey-haystack", ValkeyHaystack, "Valkey-Search"),
}
"""The other stores by name."""
