"""Detection of writes to indexed keys that are not plain commands.

Every released Valkey-Search (up to 1.2.1) may hang for good after a script or a transaction has written
to a key of an index: upstream issue 1260. So such keys are written by plain commands only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from dialect_rules import DialectError

SCRIPTS = ("EVAL", "EVALSHA", "FCALL")
# A script that declares itself unable to write may read what it likes.
_NO_WRITES = re.compile(r"#!\w+[^\n]*\bflags=[^\n ]*\bno-writes\b")

_READS = frozenset(
    [
        *("EXISTS", "TYPE", "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "DUMP", "OBJECT", "TOUCH"),
        *("HGET", "HMGET", "HGETALL", "HEXISTS", "HKEYS", "HVALS", "HLEN", "HSTRLEN", "HSCAN"),
        *("HRANDFIELD", "HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME", "JSON.GET", "JSON.MGET"),
        *("WATCH", "UNWATCH", "GET", "MGET"),
    ]
)
# Commands whose arguments are all keys; of the others, the first argument is one.
_ALL_KEYS = frozenset(["DEL", "UNLINK", "RENAME", "RENAMENX", "COPY"])


def check_script(command: Sequence[str], prefixes: Iterable[str]) -> None:
    """Raise DialectError if a script receives an indexed key, in KEYS or in an argument."""
    name = command[0].upper()
    if name not in SCRIPTS or len(command) < 3 or _NO_WRITES.match(command[1]):
        return
    count = int(command[2]) if command[2].isdecimal() else 0
    keys, arguments = command[3 : 3 + count], command[3 + count :]
    # An index over all keys would make an indexed key of every argument.
    named = _indexed(keys, prefixes) or _indexed(arguments, [one for one in prefixes if one])
    if named is not None:
        raise DialectError(
            f"{name} is given the indexed key {named!r}: a server with Valkey-Search may hang for good; "
            "use plain commands"
        )


def check_transaction(command: Sequence[str], prefixes: Iterable[str]) -> None:
    """Raise DialectError if a command of a transaction writes to an indexed key."""
    name = command[0].upper()
    if name in _READS or name.startswith("FT."):
        return
    keys = command[1:] if name in _ALL_KEYS else command[1:2]
    if (named := _indexed(keys, prefixes)) is not None:
        raise DialectError(
            f"{name} writes to the indexed key {named!r} in a transaction: a server with Valkey-Search "
            "may hang for good; use plain commands"
        )


def _indexed(keys: Iterable[str], prefixes: Iterable[str]) -> str | None:
    """The first of some keys that belongs to an index."""
    starts = tuple(prefixes)
    return next((key for key in keys if key.startswith(starts)), None)
