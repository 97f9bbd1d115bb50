"""Indexes of a server: list, describe, create and remove them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, overload

from valkey_vector.attached.definition import IndexDefinition, optional_clauses
from valkey_vector.attached.description import (
    ClusterDescription,
    IndexDescription,
    PrimaryDescription,
    Scope,
    parse_cluster,
    parse_local,
    parse_primary,
)
from valkey_vector.attached.encoding import text_of
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Connection, Feature, SearchModule
from valkey_vector.engines.search.commands import index_is_missing
from valkey_vector.engines.search.definition import define
from valkey_vector.errors import (
    ConfigurationError,
    IndexMismatchError,
    IndexNotFoundError,
    ServerError,
    UnsupportedFeatureError,
)
from valkey_vector.storage.catalog import CATALOG_PATTERN, Catalog, EngineName, name_of_catalog

__all__ = [
    "ListedIndex",
    "acreate_index",
    "adescribe_index",
    "adrop_index",
    "alist_indexes",
    "create_index",
    "describe_index",
    "drop_index",
    "list_indexes",
]

_UNKNOWN = re.compile(r"not supported|unknown argument|unexpected (?:argument|parameter)")
"""Refusals of a clause that a server does not know."""

_PARSERS: dict[Scope, Callable[[Any], Any]] = {
    "local": parse_local,
    "primary": parse_primary,
    "cluster": parse_cluster,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedIndex:
    """Index of a server.

    Attributes:
        name: name for `Index.open` if this library created the index, otherwise for `Index.attach`.
        own: True if this library created the index.
        engine: ``search`` or ``native``; always ``search`` for an index of another program.
        server_name: name in FT.* commands; None if the search module has no such index.
    """

    name: str
    own: bool
    engine: EngineName
    server_name: str | None


def list_indexes(connection: Connection) -> list[ListedIndex]:
    """List all indexes of the server's database: first those of this library, then all others, each ordered by name.

    Raises:
        ConfigurationError: a newer version of this library created one of the indexes.

    Cost:
        Scans all keys of the server.
    """
    present: list[str] = []
    if connection.capabilities.has_search:
        present = [text_of(name) for name in connection.execute("FT._LIST", retry=True)]
    own: list[ListedIndex] = []
    for name in sorted(_own_names(connection)):
        entry = Catalog(connection, name).read()
        if entry is not None:
            exists = entry.search_index in present
            own.append(
                ListedIndex(
                    name=name,
                    own=True,
                    engine=entry.engine,
                    server_name=entry.search_index if exists else None,
                )
            )
    ours = {each.server_name for each in own}
    foreign = sorted(name for name in present if name not in ours)
    return own + [
        ListedIndex(name=name, own=False, engine="search", server_name=name) for name in foreign
    ]


@overload
def describe_index(connection: Connection, name: str) -> IndexDescription: ...
@overload
def describe_index(
    connection: Connection, name: str, scope: Literal["local"]
) -> IndexDescription: ...
@overload
def describe_index(
    connection: Connection, name: str, scope: Literal["primary"]
) -> PrimaryDescription: ...
@overload
def describe_index(
    connection: Connection, name: str, scope: Literal["cluster"]
) -> ClusterDescription: ...
@overload
def describe_index(
    connection: Connection, name: str, scope: Scope
) -> IndexDescription | PrimaryDescription | ClusterDescription: ...
def describe_index(
    connection: Connection, name: str, scope: Scope = "local"
) -> IndexDescription | PrimaryDescription | ClusterDescription:
    """Describe an index of the search module (FT.INFO).

    Args:
        connection: connection to the server.
        name: name in FT.* commands, as in `ListedIndex.server_name`.
        scope: ``local`` for this node, ``primary`` for all primaries together, or ``cluster`` for all nodes. The last
            two need a cluster with Valkey-Search.

    Raises:
        IndexNotFoundError: the index does not exist.
        UnsupportedFeatureError: the server does not support the scope, or has no search module.

    Cost:
        One round trip.
    """
    connection.capabilities.require(Feature.SEARCH)
    if scope not in _PARSERS:
        raise ConfigurationError(f"scope must be 'local', 'primary' or 'cluster', not {scope!r}")
    command = ["FT.INFO", name]
    if scope != "local":
        _require_scope(connection, scope)
        command.append(scope.upper())
    try:
        reply = connection.execute(*command, retry=True)
    except ServerError as error:
        if index_is_missing(error.message):
            raise IndexNotFoundError(
                f"the search module has no index {name!r} on this server and database"
            ) from error
        raise
    described: IndexDescription | PrimaryDescription | ClusterDescription = _PARSERS[scope](reply)
    return described


def create_index(connection: Connection, definition: IndexDefinition) -> bool:
    """Create an index of the search module over documents of other programs.

    The documents are not changed. Search the index with `Index.attach`. To create an index of this library, use
    `Index.open` instead.

    Args:
        connection: connection to the server.
        definition: definition of the index.

    Returns:
        True if the index is new. False if it exists with the same attributes, document type and prefixes.

    Raises:
        ConfigurationError: the definition is not valid.
        IndexMismatchError: an index with this name and another definition exists.
        UnsupportedFeatureError: the server has no search module, no JSON module for an index over JSON, or does not support
            the condition, an element type of vectors or the language. No index was created.
    """
    connection.capabilities.require(Feature.SEARCH)
    command = definition.create_command()
    try:
        define(connection, *command)
    except ServerError as error:
        if "already exists" not in error.message.lower():
            if definition.on == "json" and not _has_json(connection):
                raise UnsupportedFeatureError(
                    "an index over JSON documents",
                    connection.capabilities.description,
                    "the JSON module (valkey-json) in addition",
                ) from error
            if (clause := _refused_clause(definition, error)) is not None:
                raise UnsupportedFeatureError(
                    f"an index with {clause}", connection.capabilities.description, "RediSearch"
                ) from error
            raise
        _compare(connection, definition)
        return False
    return True


def drop_index(connection: Connection, name: str, *, missing_ok: bool = False) -> bool:
    """Remove an index of the search module that `create_index` or another program created. Its documents stay.

    To remove an index of this library, use `Index.drop` instead.

    Args:
        connection: connection to the server.
        name: name in FT.* commands, as in `IndexDefinition.name`.
        missing_ok: return False if the index does not exist, instead of raising.

    Returns:
        True if the index existed.

    Raises:
        ConfigurationError: the index belongs to this library.
        IndexNotFoundError: the index does not exist, and `missing_ok` is False.
        UnsupportedFeatureError: the server has no search module.
    """
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"drop_index needs the name of an index, not {name!r}")
    connection.capabilities.require(Feature.SEARCH)
    # The server's name of an index of this library is the index's name, a hyphen and a random mark.
    owner = name.rpartition("-")[0]
    if owner and _own_search_index(connection, owner) == name:
        raise _belongs_to(owner, name)
    try:
        define(connection, "FT.DROPINDEX", name)
    except ServerError as error:
        if not index_is_missing(error.message):
            raise
        if _own_search_index(connection, name) is not None:
            raise _belongs_to(name, name) from error
        if missing_ok:
            return False
        raise IndexNotFoundError(
            f"the search module has no index {name!r} on this server and database; "
            "list_indexes(connection) lists those that exist"
        ) from error
    return True


async def alist_indexes(connection: Connection) -> list[ListedIndex]:
    """Async version of `list_indexes`."""
    return await offload(list_indexes, connection)


async def adescribe_index(
    connection: Connection, name: str, scope: Scope = "local"
) -> IndexDescription | PrimaryDescription | ClusterDescription:
    """Async version of `describe_index`."""
    return await offload(describe_index, connection, name, scope)


async def acreate_index(connection: Connection, definition: IndexDefinition) -> bool:
    """Async version of `create_index`."""
    return await offload(create_index, connection, definition)


async def adrop_index(connection: Connection, name: str, *, missing_ok: bool = False) -> bool:
    """Async version of `drop_index`."""
    return await offload(drop_index, connection, name, missing_ok=missing_ok)


def _own_search_index(connection: Connection, name: str) -> str | None:
    """Name in FT.* commands of this library's index with a name; None if it does not exist."""
    entry = Catalog(connection, name).read()
    return None if entry is None else entry.search_index


def _belongs_to(owner: str, name: str) -> ConfigurationError:
    return ConfigurationError(
        f"index {name!r} belongs to this library's index {owner!r}; "
        f"remove it with Index.open({owner!r}, …).drop(), with documents=False to keep the documents"
    )


def _own_names(connection: Connection) -> set[str]:
    """Names of hashes whose keys look like a catalog of this library."""
    keys = {key for batch in connection.scan(CATALOG_PATTERN) for key in batch}
    types = connection.pipeline([["TYPE", key] for key in keys], retry=True)
    for kind in types:
        if isinstance(kind, ServerError):
            raise kind
    hashes = [key for key, kind in zip(keys, types, strict=True) if text_of(kind) == "hash"]
    names = [name_of_catalog(text_of(key)) for key in hashes]
    return {name for name in names if name is not None}


def _has_json(connection: Connection) -> bool:
    """Return True if the server has the JSON module."""
    (known,) = connection.execute("COMMAND", "INFO", "JSON.GET", retry=True)
    return known is not None


def _refused_clause(definition: IndexDefinition, error: ServerError) -> str | None:
    """The clause that a server refused because it does not know it; None for any other refusal."""
    lowered = error.message.lower()
    if not _UNKNOWN.search(lowered):
        return None
    words = optional_clauses(definition).items()
    return next((clause for clause, word in words if word.lower() in lowered), None)


def _require_scope(connection: Connection, scope: Scope) -> None:
    capabilities = connection.capabilities
    if not capabilities.cluster or capabilities.module is not SearchModule.VALKEY_SEARCH:
        raise UnsupportedFeatureError(
            f"FT.INFO of scope {scope!r}", capabilities.description, "a cluster with Valkey-Search"
        )


def _compare(connection: Connection, definition: IndexDefinition) -> None:
    there = describe_index(connection, definition.name).definition
    pairs: dict[str, tuple[object, object]] = {
        "on": (there.on, definition.on),
        # Sorted: Valkey-Search (1.2.1) reports attributes in another order.
        "prefixes": (sorted(there.prefixes), sorted(definition.prefixes)),
        "condition": (there.condition, definition.condition),
        "attributes": (
            sorted(map(_shape, there.attributes), key=repr),
            sorted(map(_shape, definition.attributes), key=repr),
        ),
    }
    differences = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if differences:
        raise IndexMismatchError(definition.name, differences)


def _shape(attribute: Any) -> tuple[object, ...]:
    """Properties of an attribute that every server reports."""
    names = (
        "identifier",
        "alias",
        "kind",
        "separator",
        "case_sensitive",
        "dimension",
        "metric",
        "algorithm",
        "data_type",
    )
    return tuple(getattr(attribute, name, None) for name in names)
