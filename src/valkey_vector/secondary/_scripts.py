"""Lua scripts of the secondary indexes, read once from the ``.lua`` files of this package.

Every script begins with a check of the index's settings: `claim.lua` for a script that writes, `free.lua` for one that
only removes, `check.lua` for one that only reads. These files have a shebang line. With it, a server that is out of memory
rejects a script before its first command, not in the middle, so a script runs as a whole or not at all.
"""

from __future__ import annotations

from valkey_vector.connection.lua import read_lua

__all__ = ["reading", "removing", "writing"]

_SHARED = {
    "completion": "completion_functions",
    "graph": "triples_functions",
    "triples": "triples_functions",
}
"""Prefix of the names of an index's scripts -> file with their shared functions."""


def writing(name: str) -> str:
    """Load the script in ``<name>.lua`` as one that writes. The first write records the settings.

    Args:
        name: file name without ``.lua``.
    """
    return _script("claim", name)


def removing(name: str) -> str:
    """Load the script in ``<name>.lua`` as one that only removes, so that it also runs on a server that is out of memory.

    Args:
        name: file name without ``.lua``.
    """
    return _script("free", name)


def reading(name: str) -> str:
    """Load the script in ``<name>.lua`` as one that only reads. The server stops it if it tries to write.

    Args:
        name: file name without ``.lua``.
    """
    return _script("check", name)


def _script(prelude: str, name: str) -> str:
    shared = _SHARED.get(name.partition("_")[0])
    return read_lua(__package__, prelude, *([shared] if shared else []), name)
