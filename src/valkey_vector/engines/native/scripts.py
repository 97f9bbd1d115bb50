"""The Lua scripts of the native engine, each atomic, read once from the files beside this one.

The engine's change log is all that a process needs to keep its replica of the index current (see
`valkey_vector.engines.native.shared_replica`). It has three keys:

* ``{name}:changes``, a sorted set: the ids of all records with the sequence number of their last write.
* ``{name}:deletions``, a sorted set: deleted ids with the number of their deletion. Old deletions are trimmed. The log of
  deletions is complete from the number ``floor`` in the catalog on.
* ``{name}:expiry``, a sorted set: the ids with a time to live, by the millisecond at which they expire. Every write removes
  some expired ids from the log.

A sequence number is the server's time in microseconds, or the last number plus one if that is later. A server that loses
its last writes (a crash, a restored backup, a failover) therefore never assigns a number twice.

The catalog has these fields for the log:

* ``seq``: the last sequence number.
* ``digest``: the sum of `digest_of` over all numbers in ``changes``. A replica with another digest is loaded again: it has
  missed a change, or the log has lost a key.
* ``log``: the generation of the index for which the log was begun.
* ``registered``: set when the log has every record that is older than the log.
* ``written``: how many changes the server had counted after the last of these scripts.
* ``touched``: a new value each time a script finds that other clients have changed any data since then. While it stays the
  same, no record was deleted without an entry in the log, except by expiry or eviction.

The last file of a script begins with its flags. ``no-writes`` scripts also run on a server that refuses writes.
``allow-oom`` scripts, which free memory, also run on a full server.

KEYS of all scripts: catalog, changes, deletions, expiry, then records. ARGV: generation, lineage (``''`` in format 1) and
the prefix of the records' keys, then what the file of the script says. For an index that was dropped or created again,
they reply with the error ``STALE``. They never change a hash that is not a record of the index, nor a key of another type.
The reading scripts leave it to the caller to check whose a hash is (see
`valkey_vector.storage.record_version.own_fields`); to them, a key of another type counts as missing.
"""

from __future__ import annotations

from valkey_vector.connection.lua import read_lua

__all__ = [
    "CHECK",
    "DELETE",
    "DROP",
    "FETCH",
    "FOREIGN",
    "FORGET",
    "LOAD",
    "REGISTER",
    "SEAL",
    "SYNC",
    "UPDATE_METADATA",
    "WRITE",
]

_CHANGE_LOG = ("written", "digest", "numbers", "log")


def _changing(name: str) -> str:
    """A script that changes records and the log."""
    return read_lua(__package__, "begin", "look", *_CHANGE_LOG, name)


def _reading(*names: str) -> str:
    """A script that only reads."""
    return read_lua(__package__, "begin", "read_clock", *names)


WRITE = _changing("write")
DELETE = _changing("delete")
FORGET = _changing("forget")
UPDATE_METADATA = _changing("update_metadata")
REGISTER = _changing("register")
SEAL = read_lua(__package__, "begin", *_CHANGE_LOG, "seal")
DROP = read_lua(__package__, "drop")

SYNC = _reading("read_record", "sync")
LOAD = _reading("read_record", "load")
FETCH = _reading("fetch")
CHECK = _reading("look", "written", "check")
FOREIGN = _reading("look", "foreign")
