"""`ItemStore`: JSON items by namespace and key, such as the long-term memory of an agent.

A store has five keys in one cluster slot, ``{_items:<name>:}…``. ``items.lua`` describes them. A batch of operations is
one call of that script, so its reads see one state and its writes become visible together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, assert_never

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.errors import InvalidInputError
from valkey_vector.records.validation import check_limit
from valkey_vector.storage.keyspace import Keyspace, check_texts
from valkey_vector.stores.item_records import (
    FindItems,
    GetItem,
    GetItems,
    Item,
    ItemName,
    ListNamespaces,
    Match,
    Namespace,
    Operation,
    PutItem,
    TouchItems,
    decode_item,
    decode_namespace,
    encode_label,
    encode_namespace,
)
from valkey_vector.stores.scripts import Script

__all__ = ["ItemStore", "Result", "Vanished"]

PAGE = 1000
"""Maximum number of items in one reply to a search with a condition that the client checks."""

PAGE_BYTES = 1_000_000
"""Size in bytes at which a reply to a search ends."""

_OPERATIONS = 1000
"""Operations in one call of the script."""

_SCRIPT = Script.load("items")
_READ = Script.load("items", only_reads=True)
_MUST_WRITE = (2, 3)
_KEYS = ("items", "order", "names", "numbers", "expiry")

Result: TypeAlias = Item | list[Item] | list[Item | None] | list[Namespace] | None
"""Result of an operation, as its class describes. None for operations without a result."""

Vanished: TypeAlias = tuple[str, int]
"""Revision of an item that was deleted or replaced, and the number of its vectors in the index."""


class ItemStore(Connected):
    """Store of JSON items by namespace and key. Any texts, even empty ones, are valid labels and keys.

    Each method has an async version with the prefix ``a``.

    Args:
        name: any non-empty text. Stores with different names do not share items.
        url: the server; see `Connected`.
        connection: an open connection to use instead. It is not closed with the store.
        vanished: called after a batch with the revisions whose vectors the index no longer needs.

    Raises:
        ConfigurationError: the name is not valid, or both `url` and `connection` are passed.
    """

    def __init__(
        self,
        name: str = "default",
        *,
        url: str | None = None,
        connection: Connection | None = None,
        vanished: Callable[[Sequence[Vanished]], None] | None = None,
    ) -> None:
        keyspace = Keyspace("items", name)
        self._keys = [keyspace.together(key) for key in _KEYS]
        self._vanished = vanished
        self._expiring = False  # items have a time to live, so reads remove and renew items
        super().__init__(name, url=url, connection=connection)

    def run(self, operations: Sequence[Operation]) -> list[Result]:
        """Run operations. Returns their results in the same order.

        Reads see the state before the batch. If an item is put several times, the last put is stored.

        Raises:
            InvalidInputError: an operation is not valid. Nothing was written.
            ServerError: the server cannot be reached.

        Cost: one round trip for up to 1000 operations. A search with a condition takes more if its namespace has over
            1000 items or a megabyte, and one to restart times to live.

        Atomicity: up to 1000 operations run as one step.
        """
        batch = _Batch(operations)
        if any(isinstance(one, PutItem) and one.ttl for one in operations):
            self._expiring = True
        vanished: list[Vanished] = []
        while (commands := batch.due()) is not None:
            arguments = [part for command in commands for part in command]
            results, expired = self._call(arguments, reading=not batch.writing)
            vanished += zip(map(bytes.decode, expired[::2]), expired[1::2], strict=True)
            batch.take(results)
        vanished += batch.replaced
        if vanished and self._vanished is not None:
            self._vanished(vanished)
        return batch.results

    def clear(self) -> None:
        """Remove all items of this store. Cost: one round trip."""
        self._connection.execute("UNLINK", *self._keys)

    arun = async_version(run)
    aclear = async_version(clear)

    def _call(self, arguments: Sequence[Argument], *, reading: bool) -> tuple[list[Any], list[Any]]:
        vanished: list[Any] = []
        while True:
            script = _READ if reading and not self._expiring else _SCRIPT
            results, expired, again = script.run(
                self._connection, self._keys, arguments, retry=reading
            )
            if again in _MUST_WRITE:
                self._expiring = True
                results, expired, again = _SCRIPT.run(
                    self._connection, self._keys, arguments, retry=True
                )
            vanished += expired
            if not again:
                return results, vanished


@dataclass(slots=True)
class _Search:
    """State of a running search."""

    operation: FindItems
    namespace: Argument
    found: list[Item] = field(default_factory=list)
    skipped: int = 0
    after_number: int = 0
    after: bytes = b""
    ended: bool = False

    @property
    def command(self) -> list[Argument]:
        one = self.operation
        client_side = one.accept is not None
        offset, limit = (0, PAGE) if client_side else (self._still_to_skip, self._still_wanted)
        return [
            "S", self.namespace, str(self.after_number), self.after, str(offset), str(limit),
            str(PAGE_BYTES), _flag(one.refresh and not client_side), _flag(client_side),
        ]  # fmt: skip

    @property
    def _still_to_skip(self) -> int:
        # The items that a page skipped are before the start of the next page.
        return 0 if self.found else self.operation.offset

    @property
    def _still_wanted(self) -> int:
        return self.operation.limit - len(self.found)

    def take(self, reply: Sequence[Any]) -> None:
        flat, more = reply[0], reply[1]
        accept = self.operation.accept
        for namespace, key, record in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
            item = decode_item(decode_namespace(namespace), key.decode(), record)
            if accept is None:
                self.found.append(item)
            elif len(self.found) < self.operation.limit and accept(item):
                if self.skipped < self.operation.offset:
                    self.skipped += 1
                else:
                    self.found.append(item)
        if more:
            self.after_number, self.after = reply[2], reply[3]
        self.ended = not more or self._still_wanted == 0


class _Batch:
    """State of the operations of a batch."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.results: list[Result] = [None] * len(operations)
        self.replaced: list[Vanished] = []
        self._reads: dict[int, tuple[Operation, list[Argument]]] = {}
        self._searches: dict[int, _Search] = {}
        puts: dict[ItemName, list[Argument]] = {}
        # Encode all operations first, so that nothing is sent if one is not valid.
        for position, operation in enumerate(operations):
            _check(operation)
            match operation:
                case PutItem(namespace, key):
                    command = _put_command(operation)
                    puts[tuple(namespace), key] = command
                case FindItems(limit=0):
                    self.results[position] = []
                case FindItems(namespace):
                    self._searches[position] = _Search(operation, encode_namespace(namespace))
                case _:
                    self._reads[position] = operation, _read_command(operation)
        self._puts = list(puts.values())
        self._sent: list[Callable[[Any], None]] = []
        self._touches: list[list[Argument]] = []
        self.writing = False

    def due(self) -> list[list[Argument]] | None:
        """Return the next commands, or None if all are done. Sets `writing` if they include puts."""
        self._sent = []
        self.writing = False
        commands: list[list[Argument]] = []
        for position in list(self._reads)[:_OPERATIONS]:
            operation, command = self._reads.pop(position)
            commands.append(command)
            self._sent.append(self._taker(position, operation))
        searches = list(self._searches.items())
        now = searches[: _OPERATIONS - len(commands)]
        for position, search in now:
            commands.append(search.command)
            self._sent.append(self._search_taker(position, search))
        if not self._reads and len(now) == len(searches):
            commands += self._writes(_OPERATIONS - len(commands))
        return commands or None

    def take(self, replies: Sequence[Any]) -> None:
        """Process the replies to the last commands."""
        for taker, reply in zip(list(self._sent), replies, strict=True):
            taker(reply)

    def _writes(self, limit: int) -> list[list[Argument]]:
        parts, self._puts = self._puts[:limit], self._puts[limit:]
        # A put must not run twice. The second run would report its own revision as replaced.
        self.writing = bool(parts)
        for part in parts:
            self._sent.append(self._put_taker(part))
        touches, self._touches = self._touches, []
        self._sent += [_ignored] * len(touches)
        return [*parts, *touches]

    def _taker(self, position: int, operation: Operation) -> Callable[[Any], None]:
        def take(reply: Any) -> None:
            self.results[position] = _result(operation, reply)

        return take

    def _search_taker(self, position: int, search: _Search) -> Callable[[Any], None]:
        def take(reply: Any) -> None:
            search.take(reply)
            if not search.ended:
                return
            del self._searches[position]
            self.results[position] = search.found
            one = search.operation
            names = [item.name for item in search.found if item.expires]
            if one.refresh and one.accept is not None and names:
                self._touches.append(_read_command(TouchItems(names)))

        return take

    def _put_taker(self, command: list[Argument]) -> Callable[[Any], None]:
        def take(reply: Any) -> None:
            if reply is None:  # postponed, because a search is not complete
                self._puts.append(command)
            elif reply and reply[1]:
                self.replaced.append((reply[0].decode(), reply[1]))

        return take


def _ignored(reply: Any) -> None:
    del reply


def _check(operation: Operation) -> None:
    match operation:
        case FindItems(offset=offset, limit=limit) | ListNamespaces(offset=offset, limit=limit):
            check_limit(offset, "offset")
            check_limit(limit, "limit")
            if isinstance(operation, ListNamespaces) and operation.depth is not None:
                check_limit(operation.depth, "max_depth")
        case GetItem() | GetItems() | TouchItems() | PutItem():
            pass
        case _:
            assert_never(operation)


def _read_command(operation: Operation) -> list[Argument]:
    match operation:
        case GetItem(namespace, key, refresh):
            return ["G", *_named([(namespace, key)]), _flag(refresh)]
        case GetItems(names, refresh):
            return ["M", _flag(refresh), str(len(names)), *_named(names)]
        case TouchItems(names):
            return ["T", str(len(names)), *_named(names)]
        case ListNamespaces():
            return _list_command(operation)
        case FindItems() | PutItem():
            raise TypeError("no plain read")
        case _:
            assert_never(operation)


def _list_command(operation: ListNamespaces) -> list[Argument]:
    conditions: list[Argument] = []
    begin: Namespace = ()
    for match in operation.conditions:
        if match.type not in ("prefix", "suffix"):
            raise InvalidInputError(
                f"the type of a namespace match must be 'prefix' or 'suffix', not {match.type!r}"
            )
        labels = [encode_label(label) for label in match.labels]
        conditions += [match.type, str(len(labels)), *labels]
        begin = max(begin, _literal_begin(match), key=len)
    depth = -1 if operation.depth is None else operation.depth
    return [
        "L", encode_namespace(begin), str(len(operation.conditions)), str(depth), str(operation.offset),
        str(operation.limit), *conditions,
    ]  # fmt: skip


def _literal_begin(match: Match) -> Namespace:
    """Return the labels with which each matching namespace starts."""
    if match.type == "suffix":
        return ()
    labels = list(match.labels)
    return tuple(labels[: labels.index("*")] if "*" in labels else labels)


def _put_command(put: PutItem) -> list[Argument]:
    name = _named([(put.namespace, put.key)])
    if put.value is None:
        return ["D", *name]
    return ["P", *name, str(put.ttl or 0), str(put.vectors), put.revision, put.value]


def _named(names: Iterable[ItemName]) -> list[Argument]:
    arguments: list[Argument] = []
    for namespace, key in names:
        arguments += [encode_namespace(namespace), *check_texts([key], "key")]
    return arguments


def _flag(value: bool) -> str:
    return "1" if value else "0"


def _result(operation: Operation, reply: Any) -> Result:
    match operation:
        case GetItem(namespace, key):
            return None if reply is None else decode_item(tuple(namespace), key, reply)
        case GetItems(names):
            return [
                None if record is None else decode_item(tuple(namespace), key, record)
                for (namespace, key), record in zip(names, reply, strict=True)
            ]
        case ListNamespaces():
            return [decode_namespace(namespace) for namespace in reply]
        case _:
            return None
