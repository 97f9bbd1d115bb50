"""`SecondaryIndex`: base of all secondary indexes, with keys in one slot, checked settings, verify and repair."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.errors import ConfigurationError, IndexMismatchError
from valkey_vector.records.tokens import escape, is_unicode
from valkey_vector.secondary._report import Findings, Report
from valkey_vector.secondary._scripts import reading, removing, writing
from valkey_vector.storage.keyspace import Keyspace, succeeded

__all__ = ["BATCH", "Progress", "SecondaryIndex"]

BATCH = 500
"""Number of entries that one script writes or checks. Limits the time that a script blocks the server."""

_LAYOUT = 1
_REJECTED = b"SETTINGS "

Progress = Callable[[int], None]
"""Called with the number of entries checked so far."""


class SecondaryIndex(Connected):
    """Base of the secondary indexes. All keys of an index are in one cluster slot.

    The keys are ``{_<kind>:<name>:}<part>``. Names are escaped, so any text is a valid name, and two indexes never share
    a key. No vector index has such a prefix.

    Args:
        name: name of the index, any non-empty text.
        settings: settings that determine how entries are stored. The first write records them. With other settings,
            the first call raises `IndexMismatchError`.
        scope: additional part of the name, such as a tenant.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the index.

    Raises:
        ConfigurationError: the name is not non-empty text, or both `url` and `connection` are passed.
    """

    kind: ClassVar[str]
    """Prefix of the keys."""

    parts: ClassVar[Mapping[str, str]]
    """Keys that hold the data, and the type of each."""

    def __init__(
        self,
        name: str,
        *,
        settings: Mapping[str, object],
        scope: str | None = None,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        if not isinstance(name, str) or not name or not is_unicode(name):
            raise ConfigurationError(f"an index name must be non-empty text, not {name!r}")
        if scope is not None and (not isinstance(scope, str) or not is_unicode(scope)):
            raise ConfigurationError(f"a scope must be text, not {scope!r}")
        super().__init__(name, url=url, connection=connection)
        self.name = name
        tag = Keyspace(self.kind, name).prefix
        if scope is not None:
            tag += escape(scope).encode() + b":"
        self._prefix = b"{" + tag + b"}"
        self._settings = json.dumps({"layout": _LAYOUT, **settings}, sort_keys=True)

    def clear(self) -> None:
        """Remove all entries and the recorded settings. Cost: one round trip."""
        self.connection.execute("UNLINK", self._key("settings"), *map(self._key, self.parts))

    def verify(self, *, progress: Progress | None = None) -> Report:
        """Check the stored data without changing it.

        Reads all data in batches of 500. One script compares each batch, so concurrent writes cause no false reports.

        Args:
            progress: called after each batch.

        Raises:
            IndexMismatchError: the index was written with other settings.
        """
        return self._audit(False, progress)

    def repair(self, *, progress: Progress | None = None) -> Report:
        """Repair the problems that `verify` reports. Returns the repaired problems. Costs as much as `verify`.

        Args:
            progress: called after each batch.

        Raises:
            IndexMismatchError: the index was written with other settings.
        """
        return self._audit(True, progress)

    aclear = async_version(clear)
    averify = async_version(verify)
    arepair = async_version(repair)

    def _key(self, part: str) -> bytes:
        return self._prefix + part.encode()

    def _read(self, script: str, parts: Sequence[str], *arguments: Argument) -> Any:
        """Run a script that only reads. Sent again after a lost connection."""
        return self._run(reading(script), parts, arguments, retry=True)

    def _write(self, script: str, parts: Sequence[str], *arguments: Argument) -> Any:
        """Run a script that may write."""
        return self._run(writing(script), parts, arguments, retry=False)

    def _remove(self, script: str, parts: Sequence[str], *arguments: Argument) -> Any:
        """Run a script that only removes."""
        return self._run(removing(script), parts, arguments, retry=False)

    def _run(
        self, script: str, parts: Sequence[str], arguments: Sequence[Argument], *, retry: bool
    ) -> Any:
        reply = self.connection.execute(*self._command(script, parts, arguments), retry=retry)
        self._check(reply)
        return reply

    def _read_all(
        self, script: str, parts: Sequence[str], calls: Sequence[Sequence[Argument]]
    ) -> list[Any]:
        """Run one reading script with several lists of arguments, in one round trip."""
        commands = [self._command(reading(script), parts, arguments) for arguments in calls]
        replies = succeeded(self.connection.pipeline(commands, retry=True))
        for reply in replies:
            self._check(reply)
        return replies

    def _command(
        self, script: str, parts: Sequence[str], arguments: Sequence[Argument]
    ) -> list[Argument]:
        keys = [self._key(part) for part in ("settings", *parts)]
        return ["EVAL", script, str(len(keys)), *keys, self._settings, *arguments]

    def _check(self, reply: Any) -> None:
        """Raise if a script rejected the settings. It returns a status, because GLIDE prints errors of scripts to stderr."""
        if not isinstance(reply, bytes) or not reply.startswith(_REJECTED):
            return
        found = json.loads(reply.removeprefix(_REJECTED))
        requested = json.loads(self._settings)
        raise IndexMismatchError(
            self.name,
            {
                setting: (found.get(setting), requested.get(setting))
                for setting in sorted({*found, *requested})
                if found.get(setting) != requested.get(setting)
            },
        )

    def _scan(self, command: str, part: str) -> Iterator[list[bytes]]:
        """Iterate over batches of the elements of one key, as HSCAN, SSCAN or ZSCAN returns them."""
        cursor = b"0"
        while True:
            cursor, elements = self.connection.execute(
                command, self._key(part), cursor, "COUNT", str(BATCH), retry=True
            )
            if elements:
                yield elements
            if cursor == b"0":
                return

    def _audit(self, repair: bool, progress: Progress | None) -> Report:
        findings = Findings(self.name, repaired=repair)
        run = self._write if repair else self._read
        flag = "1" if repair else "0"
        wrong = self._read("audit_types", [*self.parts], "0", *self.parts.values())
        findings.add((kind, detail) for kind, detail in wrong)
        if repair:
            self._write("audit_types", [*self.parts], flag, *self.parts.values())
        if repair or not wrong:
            for checked, script, parts, arguments in self._audits():
                findings.add(
                    (kind, detail) for kind, detail in run(script, parts, flag, *arguments)
                )
                findings.checked += checked
                if progress is not None:
                    progress(findings.checked)
        return findings.report()

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        """Batches to check: number of elements, script, keys and arguments.

        The script takes ``1`` (repair) or ``0`` (only report) before the arguments, and returns pairs of kind and detail.
        """
        return iter(())
