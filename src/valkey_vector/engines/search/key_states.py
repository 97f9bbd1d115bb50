"""State of a document's key: absent, a record of the index, a record of a dropped index, or a foreign key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from valkey_vector.connection import Argument, Reply
from valkey_vector.errors import ForeignKeyError, ServerError
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.layout import METADATA
from valkey_vector.storage.record_version import CREATED, EXPIRES, VERSION, expiry_of, own_fields
from valkey_vector.storage.rows import MetadataReplacement

__all__ = ["KeyState", "parse_states", "state_commands"]

_METADATA = METADATA.encode()
_VERSION = re.compile(rb"[0-9a-f]*:[\w-]+:[a-z]*(?:;.*)?")


@dataclass(frozen=True, slots=True)
class KeyState:
    """State of one key.

    Attributes:
        names: names of all hash fields; empty if the key does not exist.
        fields: version and times as far as present; also the metadata, if records of the index may have no version; and
            the fields that were read in addition.
        own: True for a record of the index; False for one of a dropped index.
        ends: the key's expiration in milliseconds before it was postponed; None if it was not postponed.
    """

    names: frozenset[bytes]
    fields: Mapping[str, bytes]
    own: bool
    ends: int | None = None

    @property
    def version(self) -> bytes | None:
        """The version of the record, if it has one."""
        return self.fields.get(VERSION)

    def ends_before(self, moment: int) -> bool:
        """Return True if the record may expire before a time in milliseconds; True if only its key has a TTL."""
        match expiry_of(self.version) if self.version is not None else "t":
            case "":
                return False
            case "t":
                return (
                    int(self.fields.get(EXPIRES, b"0")) < moment
                    if EXPIRES in self.fields
                    else False
                )
            case "s":
                return True

    @property
    def is_lasting(self) -> bool:
        """True if the key does not exist, or holds a record of the index without a TTL."""
        return not self.names or (self.own and not self.may_end and self.ends is None)

    @property
    def may_end(self) -> bool:
        """True if the key exists and may have a TTL."""
        return bool(self.names) and (self.version is None or expiry_of(self.version) != "")

    def is_version_of(self, update: MetadataReplacement) -> bool | None:
        """Return True for the version of a record that an update read; None if the record was removed."""
        if not self.own:
            return None
        if update.version is None:
            return self.version is None and self.fields.get(METADATA) == update.expected
        return self.version == update.version

    def is_alive(self, now: int) -> bool:
        """Return True for a record of the index that has not expired; `now`: server time in microseconds."""
        ends = self.fields.get(EXPIRES)
        return self.own and (ends is None or int(ends) > now // 1000)


def state_commands(
    entry: CatalogEntry, keys: Sequence[str], also: Sequence[Argument] = ()
) -> list[list[Argument]]:
    """The commands whose replies `parse_states` parses; `also`: fields to read in addition."""
    fields = (*_fields(entry), *also)
    commands: list[list[Argument]] = []
    for key in keys:
        commands.append(["HKEYS", key])
        commands.append(["HMGET", key, *fields])
    return commands


def parse_states(
    entry: CatalogEntry,
    keys: Sequence[str],
    replies: Sequence[Reply | ServerError],
    *,
    refuse_foreign: bool,
    also: Sequence[str] = (),
) -> list[KeyState]:
    """Parse the states of keys.

    Args:
        entry: catalog entry of the index.
        keys: keys of documents.
        replies: replies to `state_commands`.
        refuse_foreign: raise for keys that are not records of any index; otherwise they count as absent.
        also: fields that were read in addition.

    Raises:
        ForeignKeyError: a key is not a record, with `refuse_foreign`.
    """
    pairs = zip(keys, replies[::2], replies[1::2], strict=True)
    return [
        _state(entry, key, names, values, (*_fields(entry), *also), refuse_foreign=refuse_foreign)
        for key, names, values in pairs
    ]


def _state(
    entry: CatalogEntry,
    key: str,
    names: Reply,
    values: Reply,
    read: Sequence[str],
    *,
    refuse_foreign: bool,
) -> KeyState:
    for reply in (names, values):
        if isinstance(reply, ServerError):
            if not reply.message.startswith("WRONGTYPE"):
                raise reply
            if refuse_foreign:
                raise ForeignKeyError.of(key, "a value that is no hash")
            return KeyState(frozenset(), {}, own=False)
    names = frozenset(names)
    fields = {name: value for name, value in zip(read, values, strict=True) if value is not None}
    if not fields and not names.isdisjoint(name.encode() for name in read):
        # The first command found the fields, the second one did not: the key expired in between.
        names = frozenset()
    has_metadata = _METADATA in names
    if names and refuse_foreign and not (has_metadata and _is_record(entry, fields)):
        raise ForeignKeyError.of(key, "another program's hash")
    own = has_metadata and own_fields(entry, fields) is not None
    return KeyState(names, fields, own)


def _is_record(entry: CatalogEntry, fields: Mapping[str, bytes]) -> bool:
    """Return True if this library wrote a hash with metadata, for any index of this name."""
    version = fields.get(VERSION)
    if version is None:
        return CREATED in fields and entry.lineage is None
    return _VERSION.fullmatch(version) is not None


def _fields(entry: CatalogEntry) -> tuple[str, ...]:
    """The fields to read. The metadata identifies a record without a version, as in indexes without a lineage."""
    several = (VERSION, CREATED, EXPIRES)
    return several if entry.lineage is not None else (*several, METADATA)
