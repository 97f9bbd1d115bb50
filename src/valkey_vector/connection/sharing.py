"""Registry of clients that connections of one process with equal settings share."""

from __future__ import annotations

import os
import threading
import weakref

from valkey_vector.connection.clients import Clients
from valkey_vector.connection.settings import ConnectionSettings

__all__ = ["acquire_clients", "release_clients"]


class _Shared:
    """Clients in use, by settings.

    The registry does not keep clients alive. They are closed when the last connection is closed or
    garbage-collected.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clients: weakref.WeakValueDictionary[ConnectionSettings, Clients] = (
            weakref.WeakValueDictionary()
        )
        # Separate from `clients`: released clients can still have commands in flight.
        self.all: weakref.WeakSet[Clients] = weakref.WeakSet()


_shared = _Shared()


def acquire_clients(user: object, settings: ConnectionSettings) -> Clients:
    """Return the clients for these settings, and record the user as one of their users."""
    with _shared.lock:
        clients = _shared.clients.get(settings)
        if clients is None:
            clients = Clients(settings)
            _shared.clients[settings] = clients
            _shared.all.add(clients)
        clients.users.add(user)
        return clients


def release_clients(user: object, clients: Clients) -> None:
    """Remove the user from the clients' users. The last user closes the clients."""
    with _shared.lock:
        clients.users.discard(user)
        last = not clients.users
        if last and _shared.clients.get(clients.settings) is clients:
            del _shared.clients[clients.settings]
    if last:
        clients.close()


def _before_fork() -> None:
    for clients in list(_shared.all):
        clients.before_fork()
    _shared.lock.acquire()


def _after_fork_in_parent() -> None:
    _shared.lock.release()
    for clients in list(_shared.all):
        clients.after_fork_in_parent()


def _after_fork_in_child() -> None:
    _shared.lock = threading.RLock()
    for clients in list(_shared.all):
        clients.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    # Requests in flight in GLIDE at a fork never complete in the child, whose own commands can then wait for
    # them until their timeout (seen with GLIDE 2.6, three forks in a hundred on a busy machine).
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
