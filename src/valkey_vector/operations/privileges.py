"""The least privileges of each role as a table, and the `ACL SETUSER` line that grants them.

The table in `docs/servers.md` shows the same commands; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from valkey_vector.errors import ConfigurationError
from valkey_vector.storage.catalog import EngineName, check_index_name, document_prefix, own_key

__all__ = [
    "OPTIONAL_COMMANDS",
    "ROLES",
    "AclLine",
    "Role",
    "acl_line",
    "commands_of",
    "key_patterns",
]

Role: TypeAlias = Literal["reader", "application", "administrator"]
"""Use of an index. Each role includes the ones before it."""

ROLES: tuple[Role, ...] = get_args(Role)

OPTIONAL_COMMANDS = frozenset({"INFO"})
"""Commands that a role is granted, but that the library works without."""

_CLUSTER = ("CLUSTER|SLOTS", "CLUSTER|SHARDS", "CLUSTER|NODES", "READONLY")
"""Commands that the client sends to find the nodes of a cluster."""

_GENERATION = "[0-9a-f]" * 8
"""Glob of what follows an index's name and a hyphen in the search module."""

PASSWORD = ">PASSWORD"  # noqa: S105 - a placeholder
"""Placeholder for the password in a line."""


@dataclass(frozen=True, slots=True)
class _Grant:
    """Commands of a role beyond those of the roles before it.

    Attributes:
        common: with either engine.
        native: with the native engine.
        search: with the search engine.
    """

    common: str
    native: str
    search: str

    def commands(self, engine: EngineName) -> list[str]:
        """The commands for one engine."""
        return f"{self.common} {self.native if engine == 'native' else self.search}".split()


_GRANTS: Mapping[Role, _Grant] = {
    "reader": _Grant(
        common="HELLO AUTH PING HGETALL HGET HMGET EXISTS TIME INFO",
        native="EVAL ZCARD ZRANGEBYSCORE",
        search="FT.INFO FT.SEARCH FT.AGGREGATE ZRANGEBYSCORE",
    ),
    "application": _Grant(
        common="HSET HINCRBY HKEYS HDEL HEXISTS PEXPIREAT PERSIST UNLINK DEL TYPE ZADD",
        native="ZREM ZREVRANGE PTTL",
        search="EVAL ZCARD HSETEX",
    ),
    "administrator": _Grant(
        common="SCAN",
        native="",
        search="FT.CREATE FT.DROPINDEX PTTL",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AclLine:
    """The command that creates a user with the least privileges of a role.

    Attributes:
        role: what the user does.
        line: the command, with a placeholder for the password.
    """

    role: Role
    line: str


def commands_of(role: Role, engine: EngineName) -> tuple[str, ...]:
    """The commands that a role needs, each once, in capitals.

    Args:
        role: the role; commands of the roles before it are included.
        engine: the engine of the index.
    """
    if role not in ROLES:
        raise ConfigurationError(f"role {role!r} is not one of {', '.join(ROLES)}")
    included = ROLES[: ROLES.index(role) + 1]
    commands = [command for each in included for command in _GRANTS[each].commands(engine)]
    return tuple(dict.fromkeys(commands))


def key_patterns(name: str, *, redisearch: bool = False) -> tuple[str, ...]:
    """The key patterns of an index: its documents and its own keys.

    Args:
        name: name of the index.
        redisearch: also the name of the index in the search module, which RediSearch treats as a key.

    Raises:
        ConfigurationError: no index may have this name.
    """
    check_index_name(name)
    patterns = (f"~{document_prefix(name)}*", f"~{own_key(name, '*')}")
    # Not name-*: that would grant the documents of other indexes, such as those of name-old.
    return (*patterns, f"~{name}-{_GENERATION}") if redisearch else patterns


def acl_line(
    role: Role,
    names: Sequence[str],
    engine: EngineName,
    *,
    user: str | None = None,
    cluster: bool = False,
    redisearch: bool = False,
    database: int = 0,
    client_name: bool = False,
) -> AclLine:
    """Build the `ACL SETUSER` line of least privilege.

    Args:
        role: what the user does.
        names: the indexes, at least one.
        engine: the engine of the indexes.
        user: name of the user. Default: the name of the role.
        cluster: the server is a cluster.
        redisearch: the search module is RediSearch.
        database: number of the database. Any but 0 needs a command more.
        client_name: the connection has a client name, which needs a command more.

    Raises:
        ConfigurationError: there is no name, or one that no index may have, or the user's name contains blanks.
    """
    if not names:
        raise ConfigurationError("pass the name of at least one index")
    chosen = role if user is None else user
    if not chosen or any(character.isspace() for character in chosen):
        raise ConfigurationError(f"the name of an ACL user contains no blanks: {chosen!r}")
    patterns = [pattern for name in names for pattern in key_patterns(name, redisearch=redisearch)]
    commands = [*commands_of(role, engine), *(_CLUSTER if cluster else ())]
    commands += ["SELECT"] if database else []
    commands += ["CLIENT|SETNAME"] if client_name else []
    rules = [f"+{command.lower()}" for command in commands]
    words = ["ACL", "SETUSER", chosen, "reset", "on", PASSWORD, *patterns, "-@all", *rules]
    return AclLine(role=role, line=" ".join(words))
