"""Finds the commands and key patterns that the user lacks for a role, without changing anything.

Each command is sent in a form that changes nothing: it reads a key that does not exist, or its arguments are invalid.
The server checks permissions before it looks at arguments, so a refusal shows that the permission is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import AuthenticationError, ServerError
from valkey_vector.operations.doctor.findings import Finding, error, note
from valkey_vector.operations.privileges import OPTIONAL_COMMANDS, Role, commands_of, key_patterns
from valkey_vector.storage.catalog import EngineName, document_prefix, own_key

__all__ = ["Lacking", "judge_permissions", "lacking_permissions", "user_of"]

_NOT_CHECKED = frozenset({"HELLO", "AUTH"})
"""Every user may run them."""

_NO_GENERATION = "00000000"

_HARMLESS = {
    "PING": "",
    "TIME": "",
    "INFO": "server",
    "SCAN": "0 COUNT 1",
    "EVAL": "return(1) 1 KEY",
    "HSET": "KEY field value field-without-value",
    "HINCRBY": "KEY field not-a-number",
    "HSETEX": "KEY FIELDS not-a-number field value",
    "ZADD": "KEY not-a-number member",
    "PEXPIREAT": "KEY not-a-number",
    "HGET": "KEY none",
    "HMGET": "KEY none",
    "HDEL": "KEY none",
    "HEXISTS": "KEY none",
    "ZREM": "KEY none",
    "ZRANGEBYSCORE": "KEY 0 0",
    "ZREVRANGE": "KEY 0 0",
    "FT.INFO": "INDEX",
    "FT.SEARCH": "INDEX @:::",
    "FT.AGGREGATE": "INDEX @:::",
    "FT.CREATE": "INDEX ON NOTHING",
    "FT.DROPINDEX": "INDEX none none",
}
"""Arguments with which a command changes nothing; for all others, a key that does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """Permissions that a user lacks for a role on an index.

    Attributes:
        commands: commands that are refused, in capitals.
        patterns: key patterns that are refused, with their ``~``.
    """

    commands: tuple[str, ...]
    patterns: tuple[str, ...]


def user_of(connection: Connection) -> str:
    """The name of the ACL user; that of the settings if the user may not run ACL WHOAMI."""
    try:
        name = connection.execute("ACL", "WHOAMI", retry=True)
    except AuthenticationError:
        return connection.settings.username or "default"
    except ServerError as failed:
        if isinstance(failed, ConnectionError | TimeoutError):
            raise
        return connection.settings.username or "default"
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def lacking_permissions(
    connection: Connection, name: str, engine: EngineName, role: Role, search_index: str | None
) -> Lacking:
    """Find what the user lacks.

    Args:
        connection: to the server, as the user.
        name: name of the index.
        engine: engine of the index.
        role: what the user does.
        search_index: name of the index in the search module, if it exists.

    Cost: one round trip.
    """
    probe = uuid4().hex
    own, document = own_key(name, probe), f"{document_prefix(name)}{probe}"
    module = search_index or f"{name}-{_NO_GENERATION}"
    wanted = [each for each in commands_of(role, engine) if each not in _NOT_CHECKED]
    absent = (
        f"{name}-{_NO_GENERATION}"  # not even an invalid FT.DROPINDEX names an index that exists
    )
    sent = [
        _harmless(command, own, absent if command == "FT.DROPINDEX" else module)
        for command in wanted
    ]
    # Keys are refused apart from commands, so each pattern is tried with a command that is granted.
    reads: list[Sequence[Argument]] = [["EXISTS", own], ["EXISTS", document]]
    replies = connection.pipeline([*sent, *reads], retry=True)
    commands: list[str] = []
    patterns: list[str] = []
    for command, reply in zip(wanted, replies[: len(sent)], strict=True):
        if not isinstance(reply, AuthenticationError):
            continue
        if not _concerns_keys(reply):
            commands.append(command)
        elif command.startswith("FT."):
            patterns.append(key_patterns(name, redisearch=True)[-1])
    for pattern, reply in zip(
        (f"~{own_key(name, '*')}", f"~{name}:*"), replies[len(sent) :], strict=True
    ):
        if isinstance(reply, AuthenticationError) and _concerns_keys(reply):
            patterns.append(pattern)
    return Lacking(commands=tuple(commands), patterns=tuple(dict.fromkeys(patterns)))


def judge_permissions(user: str, name: str, role: Role, lacking: Lacking) -> list[Finding]:
    """Turn missing permissions into findings, each with the line that grants them."""
    findings: list[Finding] = []
    required = [each for each in lacking.commands if each not in OPTIONAL_COMMANDS]
    if required:
        what = f"user {user!r} may not run {' '.join(required)}, which the role {role} needs on index {name!r}"
        grants = " ".join(f"+{each.lower()}" for each in required)
        findings.append(error("acl.commands", user, what, f"ACL SETUSER {user} {grants}"))
    if lacking.patterns:
        shown = " ".join(lacking.patterns)
        what = f"user {user!r} may not use keys of the pattern {shown}, which index {name!r} needs"
        findings.append(error("acl.keys", user, what, f"ACL SETUSER {user} {shown}"))
    for each in sorted(OPTIONAL_COMMANDS & set(lacking.commands)):
        what = f"user {user!r} may not run {each}: the library cannot warn of eviction, and the doctor checks less"
        findings.append(note("acl.optional", user, what, f"ACL SETUSER {user} +{each.lower()}"))
    return findings


def _harmless(command: str, key: str, search_index: str) -> list[Argument]:
    """A form of a command that changes nothing."""
    arguments = _HARMLESS.get(command, "KEY").split()
    places = {"KEY": key, "INDEX": search_index}
    return [command, *(places.get(each, each) for each in arguments)]


def _concerns_keys(refusal: AuthenticationError) -> bool:
    """Return True if the server refuses the key, not the command."""
    return "access a key" in refusal.message or "key" in refusal.message.split("'")[0].lower()
