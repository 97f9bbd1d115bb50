"""Recorder of every round trip that this process makes through GLIDE, without changing it.

The client's two entry points are wrapped at class level and call the original ones, so nothing is mocked.
Listeners receive the commands before they are sent, and then the replies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from glide_shared.protobuf.command_request_pb2 import RequestType
from glide_sync import GlideClusterClient
from glide_sync.glide_client import BaseClient

Command = list[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """The commands that are sent in one round trip."""

    server: str
    cluster: bool
    transaction: bool
    commands: list[Command]


class Listener(Protocol):
    """Somebody who wants to know."""

    def sending(self, trip: RoundTrip) -> None:
        """Called before the commands are sent; an error raised here reaches the sender instead."""

    def received(self, trip: RoundTrip, replies: Sequence[object]) -> None:
        """Called with one reply for each command; an exception in place of a reply is an error."""


class CommandLog:
    """The recorded round trips, in the order of their start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._round_trips: list[list[Command]] = []
        self._threads: list[int] = []
        self._found = 0

    @property
    def found(self) -> int:
        """The number of documents in the replies to FT.SEARCH."""
        with self._lock:
            return self._found

    @property
    def threads(self) -> list[int]:
        """The identity of the thread in which each round trip was made."""
        with self._lock:
            return list(self._threads)

    @property
    def round_trips(self) -> list[list[Command]]:
        """One item for each round trip: the list of commands that it carried."""
        with self._lock:
            return list(self._round_trips)

    def names(self) -> list[str]:
        """The name of each command sent, in order, in capitals."""
        return [command[0].decode("ascii").upper() for trip in self.round_trips for command in trip]

    def clear(self) -> None:
        """Remove the recorded round trips."""
        with self._lock:
            self._round_trips.clear()
            self._threads.clear()
            self._found = 0

    def sending(self, trip: RoundTrip) -> None:
        with self._lock:
            self._round_trips.append(trip.commands)
            self._threads.append(threading.get_ident())

    def received(self, trip: RoundTrip, replies: Sequence[object]) -> None:
        found = [
            len(reply[1])
            for command, reply in zip(trip.commands, replies, strict=False)
            if command[0].upper() == b"FT.SEARCH" and isinstance(reply, list) and len(reply) > 1
        ]
        with self._lock:
            self._found += sum(found)


class Wiretap:
    """Wraps the client's entry points while it is installed, and notifies the listeners."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._originals: dict[tuple[type, str], Callable[..., Any]] = {}

    def add(self, listener: Listener) -> None:
        self._listeners = (*self._listeners, listener)

    def remove(self, listener: Listener) -> None:
        self._listeners = tuple(one for one in self._listeners if one is not listener)

    def install(self) -> None:
        tap = self

        def execute_command(
            client: BaseClient, request: int, args: list[Any], *rest: Any, **options: Any
        ) -> Any:
            trip = _trip(client, [_command(request, args)])
            return tap._pass(
                trip, lambda: original_command(client, request, args, *rest, **options), single=True
            )

        def execute_batch(
            client: BaseClient,
            commands: list[tuple[int, list[Any]]],
            is_atomic: bool,
            *rest: Any,
            **options: Any,
        ) -> Any:
            trip = _trip(
                client, [_command(*command) for command in commands], transaction=is_atomic
            )
            return tap._pass(
                trip, lambda: original_batch(client, commands, is_atomic, *rest, **options)
            )

        def execute_script(
            client: BaseClient,
            script: str,
            keys: Sequence[str | bytes] | None = None,
            args: Sequence[str | bytes] | None = None,
            *rest: Any,
            **options: Any,
        ) -> Any:
            words = [b"EVALSHA", script.encode(), b"%d" % len(keys or ())]
            trip = _trip(client, [[*words, *_encoded([*(keys or ()), *(args or ())])]])
            return tap._pass(
                trip,
                lambda: original_script(client, script, keys, args, *rest, **options),
                single=True,
            )

        original_command = self._wrap(BaseClient, "_execute_command", execute_command)
        original_batch = self._wrap(BaseClient, "_execute_batch", execute_batch)
        original_script = self._wrap(BaseClient, "_execute_script", execute_script)

    def uninstall(self) -> None:
        for (owner, name), original in self._originals.items():
            setattr(owner, name, original)
        self._originals.clear()

    def _wrap(self, owner: type, name: str, wrapper: Callable[..., Any]) -> Callable[..., Any]:
        original: Callable[..., Any] = getattr(owner, name)
        self._originals[owner, name] = original
        setattr(owner, name, wrapper)
        return original

    def _pass(self, trip: RoundTrip, call: Callable[[], Any], *, single: bool = False) -> Any:
        listeners = self._listeners
        for listener in listeners:
            listener.sending(trip)
        reply = call()
        replies = (
            [reply] if single else list(reply or ())
        )  # the reply to an aborted transaction is None
        for listener in listeners:
            listener.received(trip, replies)
        return reply


def _trip(client: BaseClient, commands: list[Command], *, transaction: bool = False) -> RoundTrip:
    config = client._config
    database = getattr(config, "database_id", None) or 0
    addresses = ",".join(f"{address.host}:{address.port}" for address in config.addresses)
    return RoundTrip(
        server=f"{addresses}/{database}",
        cluster=isinstance(client, GlideClusterClient),
        transaction=transaction,
        commands=commands,
    )


def _command(request: int, args: Sequence[str | bytes]) -> Command:
    encoded = _encoded(args)
    if request == RequestType.CustomCommand:
        return encoded
    name = RequestType.Name(RequestType.ValueType(request)).upper()
    return [(f"FT.{name[2:]}" if name.startswith("FT") else name).encode(), *encoded]


def _encoded(args: Sequence[str | bytes]) -> Command:
    return [bytes(arg) if not isinstance(arg, str) else arg.encode() for arg in args]
