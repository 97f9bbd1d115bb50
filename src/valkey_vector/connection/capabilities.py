"""Capabilities of a server, detected in one round trip, even for a user with few permissions.

The server answers ``HELLO`` to every user, whatever the ACL: name, version, mode and modules. If a proxy
blocks it, ``INFO``, ``MODULE LIST`` and ``COMMAND INFO`` return the same or part of it. One pipeline sends
all of them, so a rejected command costs no round trip.

Both search modules call themselves ``search``. Valkey-Search encodes versions as
``major << 16 | minor << 8 | patch``, RediSearch as ``major * 10000 + minor * 100 + patch``. Numbers from 65536 to
79999 are Valkey-Search, all other numbers below 131072 are RediSearch. Above that, the presence of commands that
Valkey-Search lacks decides. It also decides if the number is not available. The version is then the *oldest* one
that has the commands found, so a feature can seem missing, but never present.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, assert_never

from valkey_vector.errors import AuthenticationError, ServerError, UnsupportedFeatureError

Version = tuple[int, int, int]
NO_VERSION: Version = (0, 0, 0)

_PROBED_COMMANDS = (
    "FT.SEARCH",
    "FT.AGGREGATE",
    "FT.INTERNAL_UPDATE",
    "FT.HYBRID",
    "FT.ALTER",
    "FT.TAGVALS",
    "HSETEX",
)
PROBES: Sequence[Sequence[str]] = (
    ("HELLO",),
    ("INFO", "server"),
    ("INFO", "modules"),
    ("MODULE", "LIST"),
    ("COMMAND", "INFO", *_PROBED_COMMANDS),
)
"""The commands whose replies :func:`capabilities_from` and :func:`is_cluster` read."""

_MODULE_NAMES = (b"search", b"ft")
_VALKEY_SEARCH_NUMBERS = range(0x10000, 80_000)
_REDISEARCH_BELOW = 0x20000
_OLDEST_REDISEARCH: Version = (2, 4, 0)


class SearchModule(Enum):
    """Search module of a server."""

    NONE = "none"
    VALKEY_SEARCH = "Valkey-Search"
    REDISEARCH = "RediSearch"


class Feature(Enum):
    """Feature that not every server supports. The value is its name in error messages."""

    SEARCH = "vector search"
    FILTER_QUERIES = "a query without a vector"
    TEXT = "full-text search"
    SORT_BY = "sorting by a field"
    SCORES = "text scores"
    VECTOR_RANGE = "search within a vector distance"
    HYBRID = "hybrid text and vector search"


_REQUIRED_VERSION: Mapping[Feature, Version] = {
    Feature.SEARCH: (1, 0, 0),
    Feature.FILTER_QUERIES: (1, 1, 0),
    Feature.TEXT: (1, 2, 0),
    Feature.SORT_BY: (1, 2, 0),
    Feature.SCORES: (1, 3, 0),
    Feature.VECTOR_RANGE: (1, 3, 0),
    Feature.HYBRID: (1, 3, 0),
}
"""First version of Valkey-Search with each feature."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Product, version and features of a server.

    Attributes:
        server: ``"valkey"``, ``"redis"``, or another name that the server reports.
        server_version: version of the server.
        cluster: True in cluster mode.
        module: search module.
        module_version: version of the search module; (0, 0, 0) without one.
        create_only: True if one command can write a hash only if it does not exist (HSETEX with FNX: Valkey 9, Redis 8).
    """

    server: str
    server_version: Version
    cluster: bool
    module: SearchModule
    module_version: Version
    create_only: bool = False

    def has(self, feature: Feature) -> bool:
        """Return True if the server supports a feature."""
        match self.module:
            case SearchModule.NONE:
                return False
            case SearchModule.REDISEARCH:
                return feature is not Feature.HYBRID or self.module_version >= (8, 4, 0)
            case SearchModule.VALKEY_SEARCH:
                return self.module_version >= _REQUIRED_VERSION[feature]
            case _:
                assert_never(self.module)

    def require(self, feature: Feature) -> None:
        """Raise an error if the server does not support a feature.

        Raises:
            UnsupportedFeatureError: names the feature, the server, and the required version.
        """
        if not self.has(feature):
            version = ".".join(map(str, _REQUIRED_VERSION[feature][:2]))
            redisearch = "RediSearch 8.4" if feature is Feature.HYBRID else "RediSearch"
            raise UnsupportedFeatureError(
                feature.value,
                self.description,
                f"Valkey-Search {version} or newer, or {redisearch}",
            )

    @property
    def has_search(self) -> bool:
        """True if the server has a search module."""
        return self.has(Feature.SEARCH)

    @property
    def filter_queries(self) -> bool:
        """True if a query can consist of a filter only, without a vector."""
        return self.has(Feature.FILTER_QUERIES)

    @property
    def text(self) -> bool:
        """True if the server indexes and searches text fields."""
        return self.has(Feature.TEXT)

    @property
    def sort_by(self) -> bool:
        """True if the server can sort results by a field."""
        return self.has(Feature.SORT_BY)

    @property
    def scores(self) -> bool:
        """True if the server scores text matches."""
        return self.has(Feature.SCORES)

    @property
    def vector_range(self) -> bool:
        """True if a query can select all documents within a vector distance."""
        return self.has(Feature.VECTOR_RANGE)

    @property
    def hybrid(self) -> bool:
        """True if the server has FT.HYBRID."""
        return self.has(Feature.HYBRID)

    @property
    def max_query_bytes(self) -> int:
        """Maximum length of a query in bytes."""
        return 10_240

    @property
    def max_query_terms(self) -> int:
        """Maximum number of terms in a query."""
        old = self.module is SearchModule.VALKEY_SEARCH and self.module_version < (1, 2, 0)
        return 16 if old else 1000

    @property
    def max_knn(self) -> int:
        """Maximum number of nearest neighbors in one query: the limit of Valkey-Search, used for all servers."""
        return 10_000

    @property
    def description(self) -> str:
        """Search module and server with versions, such as ``Valkey-Search 1.2.1 on Valkey 9.1.2``."""
        server = f"{self.server.capitalize()} {'.'.join(map(str, self.server_version))}"
        if self.module is SearchModule.NONE:
            return f"{server} without a search module"
        return f"{self.module.value} {'.'.join(map(str, self.module_version))} on {server}"


def capabilities_from(replies: Sequence[Any]) -> Capabilities:
    """Detect capabilities from the replies to :data:`PROBES`. Each reply can be an error.

    Raises:
        AuthenticationError: the user has permission for none of the commands.
    """
    hello, server_info, module_info, module_list, commands = replies
    greeting = _mapping(hello)
    info = _info(server_info)
    if not greeting and all(isinstance(reply, ServerError) for reply in replies[2:]):
        raise AuthenticationError(
            "the user has no permission for HELLO, INFO, MODULE LIST or COMMAND INFO, so the search module of the "
            "server cannot be detected; grant one of these commands"
        )
    known = {
        name
        for name, details in zip(_PROBED_COMMANDS, _list(commands), strict=False)
        if details is not None
    }
    number = _module_number(_list(greeting.get(b"modules")) or _list(module_list), module_info)
    module, module_version = _module(number, known)
    server = info.get("server_name") or _text(greeting.get(b"server")) or "redis"
    version = (
        info.get("valkey_version")
        or _text(greeting.get(b"version"))
        or info.get("redis_version", "")
    )
    return Capabilities(
        server,
        _version(version),
        is_cluster(replies),
        module,
        module_version,
        create_only="HSETEX" in known,
    )


def is_cluster(replies: Sequence[Any]) -> bool:
    """Return True if the replies to :data:`PROBES` come from a server in cluster mode."""
    mode = _text(_mapping(replies[0]).get(b"mode"))
    info = _info(replies[1])
    return "cluster" in (mode, info.get("server_mode"), info.get("redis_mode"))


def _module_number(modules: Sequence[Any], info: Any) -> int | None:
    """Version number of the search module; None without a module, or if the server does not report it."""
    for details in map(_mapping, modules):
        if details.get(b"name") in _MODULE_NAMES and isinstance(details.get(b"ver"), int):
            return int(details[b"ver"])
    found = re.search(r"^module:name=(?:search|ft),ver=([0-9]+)", _info_text(info), re.MULTILINE)
    return int(found[1]) if found else None


def _module(number: int | None, commands: set[str]) -> tuple[SearchModule, Version]:
    redisearch_only = bool(commands & {"FT.ALTER", "FT.TAGVALS"})
    if number is None:
        if "FT.SEARCH" not in commands:
            return SearchModule.NONE, NO_VERSION
        if redisearch_only:
            return SearchModule.REDISEARCH, _OLDEST_REDISEARCH
        return SearchModule.VALKEY_SEARCH, _oldest_valkey_search(commands)
    if number in _VALKEY_SEARCH_NUMBERS or (number >= _REDISEARCH_BELOW and not redisearch_only):
        return SearchModule.VALKEY_SEARCH, (number >> 16, number >> 8 & 255, number & 255)
    return SearchModule.REDISEARCH, (number // 10_000, number // 100 % 100, number % 100)


def _oldest_valkey_search(commands: set[str]) -> Version:
    if "FT.HYBRID" in commands:
        return (1, 3, 0)
    if "FT.INTERNAL_UPDATE" in commands:
        return (1, 2, 0)
    return (1, 1, 0) if "FT.AGGREGATE" in commands else (1, 0, 0)


def _mapping(reply: Any) -> Mapping[bytes, Any]:
    """Convert a reply that is a map, or a flat list of names and values."""
    if isinstance(reply, Mapping):
        return reply
    if isinstance(reply, list) and len(reply) % 2 == 0:
        return dict(zip(reply[::2], reply[1::2], strict=True))
    return {}


def _list(reply: Any) -> Sequence[Any]:
    return reply if isinstance(reply, list) else ()


def _info_text(reply: Any) -> str:
    """Text of an INFO reply; for a cluster client, the text of any node."""
    if isinstance(reply, Mapping):
        reply = next(iter(reply.values()), b"")
    return _text(reply)


def _info(reply: Any) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in _info_text(reply).splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def _text(reply: Any) -> str:
    if isinstance(reply, bytes):
        return reply.decode(errors="replace")
    return reply if isinstance(reply, str) else ""


def _version(text: str) -> Version:
    major, minor, patch = ([int(part) for part in re.findall(r"[0-9]+", text)] + [0, 0, 0])[:3]
    return major, minor, patch
