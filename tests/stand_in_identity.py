"""Replies by which the stand-in looks like Valkey-Search 1.2.1: HELLO, INFO, MODULE, COMMAND, CONFIG, ACL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from resp2 import Command, Failure, Reply, Simple
from stand_in_session import Exchange
from stand_in_state import COMMANDS, MODULE_NUMBER, State

# Each FT command of Valkey-Search belongs to this category, which RediSearch 2 does not define.
_SEARCH_CATEGORY = [b"FT.SEARCH", b"FT.AGGREGATE", b"FT.CREATE", b"FT.DROPINDEX", b"FT.INFO"]
_ADMIN = [b"FT._LIST"]
_HOST = b"127.0.0.1"
_NODE = b"5" * 40
_SLOTS = 16_384


def exchange_of(name: str, command: Command, state: State) -> Exchange:
    """Return the handling of a command that is not an FT command."""
    words = [word.decode("latin-1").upper() for word in command[1:3]]
    match name, words:
        case "HELLO", []:
            return Exchange([command], lambda replies: _hello(replies[0], state))
        case "HELLO", ["2", *_]:
            return Exchange([command], lambda replies: _hello(replies[0], state))
        case "CLUSTER", [part, *_] if state.cluster:
            return _cluster(part, command, state)
        case "HELLO", _:
            return Exchange.failing("NOPROTO unsupported protocol version")
        case "MODULE", ["LIST"]:
            return Exchange([command], lambda replies: _modules(replies[0]))
        case "INFO", _:
            return Exchange([command], lambda replies: _info(replies[0], state))
        case "COMMAND", ["INFO", *_]:
            names = command[2:]
            return Exchange([command], lambda replies: _command_info(replies[0], names))
        case "CONFIG", ["GET", *_]:
            patterns = [word.decode().lower() for word in command[2:]]
            return Exchange([command], lambda replies: _config(replies[0], patterns, state))
        case "CONFIG", ["SET", *_]:
            return _config_set(command, state)
        case "ACL", ["SETUSER", *_]:
            return Exchange([[*command[:3], *_rules(command[3:])]])
        case (("FLUSHALL" | "FLUSHDB"), _):
            return Exchange([command], lambda replies: _flushed(replies[0], state))
        case _:
            return Exchange([command])


def _hello(reply: Reply, state: State) -> Reply:
    if not isinstance(reply, list):
        return reply
    items = list(reply)
    for position in range(0, len(items) - 1, 2):
        if items[position] == b"modules":
            items[position + 1] = _modules(items[position + 1])
        elif items[position] == b"mode" and state.cluster:
            items[position + 1] = b"cluster"
    return items


def _cluster(part: str, command: Command, state: State) -> Exchange:
    """Describe a cluster whose only node has all slots."""
    match part:
        case "SLOTS":
            return Exchange.of([[0, _SLOTS - 1, [_HOST, state.port, _NODE]]])
        case "NODES":
            line = f"{_NODE.decode()} {_HOST.decode()}:{state.port}@{state.port} myself,master - 0 0 1 connected"
            return Exchange.of(f"{line} 0-{_SLOTS - 1}\n".encode())
        case "INFO":
            return Exchange.of(
                b"cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_size:1\r\n"
            )
        case "KEYSLOT":
            return Exchange.of(0)
        case _:
            return Exchange.failing(f"STANDIN does not imitate {command[0]!r} {part}")


def _modules(reply: Reply) -> Reply:
    return [_module(one) for one in reply] if isinstance(reply, list) else reply


def _module(details: Reply) -> Reply:
    if not isinstance(details, list) or b"search" not in details:
        return details
    items = list(details)
    for position in range(0, len(items) - 1, 2):
        if items[position] == b"ver":
            items[position + 1] = MODULE_NUMBER
        elif items[position] == b"path":
            items[position + 1] = b"libsearch.so"
        elif items[position] == b"args":
            items[position + 1] = []
    return items


def _info(reply: Reply, state: State) -> Reply:
    if not isinstance(reply, bytes) or isinstance(reply, Simple):
        return reply
    named = re.sub(
        rb"(?m)^module:name=search,ver=[0-9]+", b"module:name=search,ver=%d" % MODULE_NUMBER, reply
    )
    if state.cluster:
        named = named.replace(b"server_mode:standalone", b"server_mode:cluster")
        named = named.replace(b"redis_mode:standalone", b"redis_mode:cluster")
    return re.sub(rb"(?m)^# search_[\s\S]*\Z", b"", named)  # RediSearch's own sections


def _command_info(reply: Reply, names: Sequence[bytes]) -> Reply:
    """Describe the FT commands that Valkey-Search has, independent of RediSearch's reply."""
    if not isinstance(reply, list):
        return reply
    return [
        _described(name, one) if name.upper().startswith(b"FT.") else one
        for name, one in zip(names, reply, strict=False)
    ]


def _described(name: bytes, found: Reply) -> Reply:
    if name.upper().decode("latin-1") not in COMMANDS:
        return None
    return found or [name.lower(), -1, [Simple(b"module")], 0, 0, 0, [], [], [], []]


def _config(reply: Reply, patterns: Sequence[str], state: State) -> Reply:
    if not isinstance(reply, list):
        return reply
    own = [
        part
        for name, value in state.settings.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
        for part in (name.encode(), value)
    ]
    return [*reply, *own]


def _config_set(command: Command, state: State) -> Exchange:
    pairs = dict(zip([w.decode().lower() for w in command[2::2]], command[3::2], strict=False))
    own = {name: value for name, value in pairs.items() if name.startswith("search.")}
    if not own:
        return Exchange([command])
    if unknown := own.keys() - state.settings.keys():
        shown = min(unknown)
        return Exchange.failing(
            f"ERR Unknown option or number of arguments for CONFIG SET - '{shown}'"
        )
    state.settings.update(own)
    rest = [part for name, value in pairs.items() if name not in own for part in (name, value)]
    if not rest:
        return Exchange.of(Simple(b"OK"))
    words = [word if isinstance(word, bytes) else word.encode() for word in rest]
    return Exchange([[*command[:2], *words]])


def _rules(rules: Sequence[bytes]) -> list[bytes]:
    """Return ACL rules with the categories of Valkey-Search's commands."""
    translated: list[bytes] = []
    for rule in rules:
        sign, category = rule[:1], rule[1:].lower()
        if category == b"@search":
            translated += [sign + name for name in (*_SEARCH_CATEGORY, *_ADMIN)]
            continue
        translated.append(rule)
        if category == b"@admin":
            translated += [sign + name for name in _ADMIN]
    return translated


def _flushed(reply: Reply, state: State) -> Reply:
    if not isinstance(reply, Failure):
        state.schemas.clear()
    return reply
