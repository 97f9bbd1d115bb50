"""Creation and removal of search indexes in a cluster whose primaries change, and the element types that a server accepts."""

from __future__ import annotations

import time

from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.connection.refusals import from_replica
from valkey_vector.errors import ServerError, UnsupportedFeatureError
from valkey_vector.schema.schema import Schema

__all__ = ["define", "require_data_types"]

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


def require_data_types(connection: Connection, schema: Schema, name: str) -> None:
    """Raise if the server has no vectors of an element type of a schema. Creates nothing.

    The server is queried with definitions of dimension 0, which every server rejects: one of FLOAT32, and one of each type.
    If both are rejected for the same reason, the server knows the type.

    Args:
        connection: connection to the server.
        schema: schema of the index to create.
        name: name of the index to create.

    Raises:
        UnsupportedFeatureError: names the type, the server and the cure.

    Cost: one round trip, none if all vectors are FLOAT32.
    """
    wanted = [each for each in dict.fromkeys(schema.data_types.values()) if each != "FLOAT32"]
    if not wanted:
        return
    start: list[Argument] = ["FT.CREATE", f"{name}-", "PREFIX", "1", f"{name}:"]
    start += ["SCHEMA", "vector", "VECTOR", "FLAT", "6", "TYPE"]
    rest = ["DIM", "0", "DISTANCE_METRIC", "L2"]  # after TYPE: servers report the first error
    asked = [[*start, data_type, *rest] for data_type in ("FLOAT32", *wanted)]
    known, *replies = map(str, connection.pipeline(asked, retry=True))
    for data_type, reply in zip(wanted, replies, strict=True):
        if reply != known:
            raise UnsupportedFeatureError(
                f"an index with vectors of {data_type}",
                connection.capabilities.description,
                'RediSearch, the native engine (engine="native"), or data_type="FLOAT32"',
            )
