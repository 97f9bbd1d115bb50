"""The Lua scripts of the secondary indexes, read once from the files beside this one.

Every script begins with a check of the index's settings: `claim.lua` for a script that writes, `free.lua` for one that
only removes, `check.lua` for one that only reads. They carry a shebang line. It makes the server refuse the script before
its first command, not in the middle, when memory is short, so a script is carried out whole or not at all.
"""

from __future__ import annotations

from valkey_vector.connection.lua import read_lua

__all__ = ["reading", "removing", "writing"]

_SHARED = {
    "completion": "completion_functions",
    "graph": "triples_functions",
    "triples": "triples_functions",
}
"""Functions that all scripts of one index use, by the beginning of their names."""


def writing(name: str) -> str:
    """The script in ``<name>.lua``, allowed to write; the first write records the settings.

    Args:
        name: file name without its ending.
    """
    return _script("claim", name)


def removing(name: str) -> str:
    """The script in ``<name>.lua``, allowed to write on a server that is out of memory.

    Args:
        name: file name without its ending.
    """
    return _script("free", name)


def reading(name: str) -> str:
    """The script in ``<name>.lua``, which the server stops if it tries to write.

    Args:
        name: file name without its ending.
    """
    return _script("check", name)


def _script(prelude: str, name: str) -> str:
    shared = _SHARED.get(name.partition("_")[0])
    return read_lua(__package__, prelude, *([shared] if shared else []), name)
