"""What a server can do, found out in one round trip, also by a user who may ask hardly anything.

``HELLO`` answers every user, whatever the ACL says, with the server's name, version, mode and
modules. Where something in between withholds it, ``INFO``, ``MODULE LIST`` and in the end ``COMMAND
INFO`` tell the same or part of it. All are asked in one pipeline, so that what is refused costs
nothing.

Both search modules call themselves ``search``. Valkey-Search numbers its versions
``major << 16 | minor << 8 | patch``, RediSearch ``major * 10000 + minor * 100 + patch``. So 65536 to
79999 can only be the former, anything else below 131072 only the latter; beyond, commands that
Valkey-Search lacks decide. Where the number is withheld, they decide, too, and the version is taken
to be the *oldest* that has the commands found: a feature may then seem missing, never present.
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
    """Which search module the server has."""

    NONE = "none"
    VALKEY_SEARCH = "Valkey-Search"
    REDISEARCH = "RediSearch"


class Feature(Enum):
    """Something not every server can do; the value is what error messages call it."""

    SEARCH = "vector search"
    FILTER_QUERIES = "a query without a vector"
    TEXT = "full-text search"
    SORT_BY = "sorting by a field"
    SCORES = "text scores"
    VECTOR_RANGE = "search within a vector distance"
    HYBRID = "hybrid text and vector search"


_NEEDED: Mapping[Feature, Version] = {
    Feature.SEARCH: (1, 0, 0),
    Feature.FILTER_QUERIES: (1, 1, 0),
    Feature.TEXT: (1, 2, 0),
    Feature.SORT_BY: (1, 2, 0),
    Feature.SCORES: (1, 3, 0),
    Feature.VECTOR_RANGE: (1, 3, 0),
    Feature.HYBRID: (1, 3, 0),
}
"""The first Valkey-Search with each feature."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server is, and what follows from it.

    Attributes:
        server: ``"valkey"``, ``"redis"``, or what else it calls itself.
        server_version: of the server.
        cluster: whether it runs in cluster mode.
        module: its search module.
        module_version: of the module; (0, 0, 0) without one.
        create_only: a hash can be written only where it is not there, in one command (HSETEX with FNX: Valkey 9, Redis 8).
    """

    server: str
    server_version: Version
    cluster: bool
    module: SearchModule
    module_version: Version
    create_only: bool = False

    def has(self, feature: Feature) -> bool:
        """Whether the server has a feature."""
        match self.module:
            case SearchModule.NONE:
                return False
            case SearchModule.REDISEARCH:
                return feature is not Feature.HYBRID or self.module_version >= (8, 4, 0)
            case SearchModule.VALKEY_SEARCH:
                return self.module_version >= _NEEDED[feature]
            case _:
                assert_never(self.module)

    def require(self, feature: Feature) -> None:
        """Do nothing if the server has the feature.

        Raises:
            UnsupportedFeatureError: it has not; names the feature, what the server is, and what
                would have it.
        """
        if not self.has(feature):
            version = ".".join(map(str, _NEEDED[feature][:2]))
            redisearch = "RediSearch 8.4" if feature is Feature.HYBRID else "RediSearch"
            raise UnsupportedFeatureError(
                feature.value,
                self.description,
                f"Valkey-Search {version} or newer, or {redisearch}",
            )

    @property
    def has_search(self) -> bool:
        """Whether there is a search module."""
        return self.has(Feature.SEARCH)

    @property
    def filter_queries(self) -> bool:
        """Whether a query may consist of a filter alone, without a vector."""
        return self.has(Feature.FILTER_QUERIES)

    @property
    def text(self) -> bool:
        """Whether text fields can be indexed and queried."""
        return self.has(Feature.TEXT)

    @property
    def sort_by(self) -> bool:
        """Whether results can be sorted by a field."""
        return self.has(Feature.SORT_BY)

    @property
    def scores(self) -> bool:
        """Whether text matches can be scored."""
        return self.has(Feature.SCORES)

    @property
    def vector_range(self) -> bool:
        """Whether a query may ask for everything within a vector distance."""
        return self.has(Feature.VECTOR_RANGE)

    @property
    def hybrid(self) -> bool:
        """Whether FT.HYBRID is there."""
        return self.has(Feature.HYBRID)

    @property
    def max_query_bytes(self) -> int:
        """How long a query may be."""
        return 10_240

    @property
    def max_query_terms(self) -> int:
        """How many terms a query may have."""
        old = self.module is SearchModule.VALKEY_SEARCH and self.module_version < (1, 2, 0)
        return 16 if old else 1000

    @property
    def max_knn(self) -> int:
        """How many nearest neighbours a query asks for at most: Valkey-Search's limit, kept everywhere."""
        return 10_000

    @property
    def description(self) -> str:
        """Module and server with their versions, such as ``Valkey-Search 1.2.1 on Valkey 9.1.2``."""
        server = f"{self.server.capitalize()} {'.'.join(map(str, self.server_version))}"
        if self.module is SearchModule.NONE:
            return f"{server} without a search module"
        return f"{self.module.value} {'.'.join(map(str, self.module_version))} on {server}"


def capabilities_from(replies: Sequence[Any]) -> Capabilities:
    """Read the replies to :data:`PROBES`, of which any may be an error.

    Raises:
        AuthenticationError: the user may ask nothing that would tell.
    """
    hello, server_info, module_info, module_list, commands = replies
    greeting = _mapping(hello)
    info = _info(server_info)
    if not greeting and all(isinstance(reply, ServerError) for reply in replies[2:]):
        raise AuthenticationError(
            "the user may run none of HELLO, INFO, MODULE LIST and COMMAND INFO: "
            "whether the server has a search module cannot be told"
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
    """Whether the replies to :data:`PROBES` come from a server in cluster mode."""
    mode = _text(_mapping(replies[0]).get(b"mode"))
    info = _info(replies[1])
    return "cluster" in (mode, info.get("server_mode"), info.get("redis_mode"))


def _module_number(modules: Sequence[Any], info: Any) -> int | None:
    """The version number of the search module; None without one, or if it was not told."""
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
    """A reply that is a map, or a flat list of names and values."""
    if isinstance(reply, Mapping):
        return reply
    if isinstance(reply, list) and len(reply) % 2 == 0:
        return dict(zip(reply[::2], reply[1::2], strict=True))
    return {}


def _list(reply: Any) -> Sequence[Any]:
    return reply if isinstance(reply, list) else ()


def _info_text(reply: Any) -> str:
    """The text of INFO; a cluster client has one for each node, of which any will do."""
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
