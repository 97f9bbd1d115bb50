"""Guard that rejects every FT.* command that Valkey-Search rejects or answers differently from the intention.

The search module that the tests load locally is more lenient than Valkey-Search. The guard checks every
command by the grammar of Valkey-Search 1.2.1; ``Dialect`` describes other versions from 1.0 on. Where the
server accepts a command but silently truncates, widens or empties its result, the guard is stricter than
the server: a LIMIT is required, a KNN must return its distance, no tag may end in ``*``, and a search of a
cluster must request all shards. Writes to the keys of an index must be plain commands (`dialect_keys`).
"""

from __future__ import annotations

from collections.abc import Sequence

from dialect_create import parse_create
from dialect_keys import SCRIPTS, check_script, check_transaction
from dialect_rules import Dialect, DialectError, IndexSchema
from dialect_search import Aggregate, Search
from dialect_words import Words

__all__ = ["DialectError", "DialectGuard", "check"]

VERSION = (1, 2, 1)


def check(
    command: Sequence[bytes | str],
    version: tuple[int, int, int] = VERSION,
    *,
    schema: Sequence[bytes | str] | None = None,
) -> None:
    """Judge one command by itself.

    Args:
        command: the command and its arguments. Commands other than FT.* pass.
        version: the version of Valkey-Search to judge by.
        schema: the FT.CREATE of the command's index; without it, fields are not checked.

    Raises:
        DialectError: the server would reject it, or answer otherwise than meant.
    """
    guard = DialectGuard(version)
    if schema is not None:
        guard.check(schema)
        guard.learn(schema)
    guard.check(command)


class DialectGuard:
    """Judges the commands sent to one database of one server, and remembers its indexes.

    ``check`` judges a command before it is sent and ``learn`` takes note of it once it has succeeded.

    Args:
        version: the version of Valkey-Search to judge by.
        cluster: whether the server is a cluster.

    Attributes:
        complete: whether each search must require all shards, as a cluster of Valkey-Search needs it.
    """

    def __init__(self, version: tuple[int, int, int] = VERSION, *, cluster: bool = False) -> None:
        self.complete = False
        self._version = version
        self._cluster = cluster
        self._schemas: dict[str, IndexSchema] = {}

    @property
    def _dialect(self) -> Dialect:
        return Dialect(version=self._version, complete=self.complete)

    @property
    def _prefixes(self) -> tuple[str, ...]:
        return tuple(one for schema in self._schemas.values() for one in schema.prefixes)

    def schema_of(self, index: str) -> IndexSchema | None:
        """The schema of an index that was created while the guard learned."""
        return self._schemas.get(index)

    def check(self, command: Sequence[bytes | str], *, in_transaction: bool = False) -> None:
        """Raise DialectError if Valkey-Search would reject the command, or answer it differently from the intention."""
        name, words = _split(command)
        try:
            if name in SCRIPTS:
                check_script([_latin(word) for word in command], self._prefixes)
            if in_transaction:
                check_transaction([_latin(word) for word in command], self._prefixes)
            if name.startswith("FT."):
                self._check(name, words)
                words.end()
                if in_transaction and self._cluster:
                    _refuse_in_transaction(name)
        except DialectError as error:
            shown = [_latin(word)[:200] for word in command]
            raise DialectError(f"{error}\n  in {shown}", reply=error.reply) from error

    def learn(self, command: Sequence[bytes | str]) -> None:
        """Take note of a command that has succeeded."""
        name, words = _split(command)
        match name:
            case "FT.CREATE":
                index, schema = parse_create(words, self._dialect)
                self._schemas[index] = schema
            case "FT.DROPINDEX":
                self._schemas.pop(words.next("the index's name"), None)
            case "FLUSHALL" | "FLUSHDB":
                self._schemas.clear()
            case _:
                pass

    def _check(self, name: str, words: Words) -> None:
        match name:
            case "FT.CREATE":
                parse_create(words, self._dialect)
            case "FT.DROPINDEX":
                words.next("the index's name")
            case "FT._LIST":
                pass
            case "FT.INFO":
                words.next("the index's name")
                self._check_info(words)
            case "FT.SEARCH":
                schema = self._schemas.get(words.next("the index's name"))
                Search(words, schema, self._dialect).check()
            case "FT.AGGREGATE" if self._dialect.filter_queries:
                schema = self._schemas.get(words.next("the index's name"))
                Aggregate(words, schema, self._dialect).check()
            case _:
                raise DialectError(f"unknown command {name}")

    def _check_info(self, words: Words) -> None:
        options = ("LOCAL", "ALLSHARDS", "SOMESHARDS", "CONSISTENT", "INCONSISTENT")
        while words.take(*options, *(("PRIMARY", "CLUSTER") if self._cluster else ())):
            pass


def _refuse_in_transaction(name: str) -> None:
    if name in ("FT.SEARCH", "FT.AGGREGATE"):
        raise DialectError("a cluster does not search inside a transaction")


def _split(command: Sequence[bytes | str]) -> tuple[str, Words]:
    if not command:
        raise DialectError("an empty command")
    words = [_latin(word) for word in command]
    return words[0].upper(), Words(words[1:])


def _latin(word: bytes | str) -> str:
    """One character for each byte."""
    return (word.encode() if isinstance(word, str) else word).decode("latin-1")
