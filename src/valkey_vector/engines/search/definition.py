"""Creation and removal of search indexes in a cluster whose primaries change."""

from __future__ import annotations

import time

from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.connection.refusals import from_replica
from valkey_vector.errors import ServerError

__all__ = ["define"]

_PAUSE = 0.1


def define(connection: Connection, *command: Argument) -> Reply:
    """Send FT.CREATE or FT.DROPINDEX.

    These commands name no key, so a node that has become a replica rejects them instead of naming the new primary. A
    command with a key finds that out, and this command is sent again until ``request_timeout`` is over.

    Raises:
        ServerError: see `Connection.execute`.
    """
    deadline = time.monotonic() + connection.settings.request_timeout
    while True:
        try:
            return connection.execute(*command)
        except ServerError as error:
            retried = from_replica(error) and connection.capabilities.cluster
            if not retried or time.monotonic() > deadline:
                raise
        connection.execute("EXISTS", command[1], retry=True)
        time.sleep(_PAUSE)
