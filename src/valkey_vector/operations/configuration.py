"""The settings of a server that matter to indexes, typed, of every node, and how to change one on all nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Connection
from valkey_vector.errors import (
    AuthenticationError,
    InvalidInputError,
    ServerError,
    UnsupportedFeatureError,
    ValkeyVectorError,
)
from valkey_vector.operations.configuration_values import NodeConfiguration
from valkey_vector.operations.doctor.cluster_check import parse_nodes
from valkey_vector.operations.doctor.facts import settings_of
from valkey_vector.storage.hashes import checked

__all__ = [
    "ConfigurationChange",
    "NodeChange",
    "ServerConfiguration",
    "aconfiguration",
    "aset_configuration",
    "configuration",
    "set_configuration",
]

_PATTERNS = (
    "maxmemory",
    "maxmemory-*",
    "maxclients",
    "save",
    "stop-writes-on-bgsave-error",
    "appendonly",
    "appendfsync",
    "io-threads",
    "notify-keyspace-events",
    "lazyfree-*",
    "search.*",
)
"""The settings that are read, and that may be set. All others, such as passwords, are left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfiguration:
    """Settings of a server.

    Attributes:
        nodes: the settings of each node; of a cluster, of its primaries and replicas.
        differing: names of the settings that are not the same on all nodes. A failover would change them.
    """

    nodes: tuple[NodeConfiguration, ...]
    differing: tuple[str, ...]

    def values(self, name: str) -> dict[str, str]:
        """The value of a setting on each node that has it: address -> value."""
        return {node.node: node.values[name] for node in self.nodes if name in node.values}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """The change of a setting on one node.

    Attributes:
        node: address of the node.
        old: value before.
        new: value after, as the node reports it. With `dry_run`, the requested value.
    """

    node: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationChange:
    """The change of a setting on all nodes.

    Attributes:
        name: name of the setting.
        dry_run: nothing was changed.
        nodes: the change on each node.
    """

    name: str
    dry_run: bool
    nodes: tuple[NodeChange, ...]


def configuration(connection: Connection) -> ServerConfiguration:
    """Read the settings of every node that matter to indexes.

    Cost: a round trip to each node, and in a cluster one for the list of its nodes.

    Raises:
        UnsupportedFeatureError: the server has no CONFIG, as many managed services.
        AuthenticationError: the user may not run CONFIG GET.
    """
    nodes = tuple(
        NodeConfiguration.of(node, values)
        for node, values in _read(connection, _nodes(connection), _PATTERNS).items()
    )
    names = dict.fromkeys(name for node in nodes for name in node.values)
    differing = [name for name in names if len({node.values.get(name) for node in nodes}) > 1]
    return ServerConfiguration(nodes=nodes, differing=tuple(sorted(differing)))


aconfiguration = async_version(configuration)


def set_configuration(
    connection: Connection, name: str, value: str, *, dry_run: bool = False
) -> ConfigurationChange:
    """Change a setting on every node of a server, or on none.

    The change lasts until a node restarts. `CONFIG REWRITE` on each node writes it to the node's configuration file.

    Args:
        connection: to the server.
        name: one of the settings that `configuration` reads.
        value: new value, as CONFIG SET takes it.
        dry_run: change nothing, and return the present values.

    Atomicity: the nodes are changed one after the other. If one refuses or does not reply, or at an interrupt, those
    that were changed get their old value back.

    Raises:
        InvalidInputError: there is no such setting, or it does not belong to indexes.
        UnsupportedFeatureError: the server has no CONFIG, as many managed services.
        AuthenticationError: the user may not run CONFIG SET.
        ServerError: a node refused the value. The message names nodes that could not be set back.
    """
    if any(character in name for character in "*?[]"):
        raise InvalidInputError(f"{name!r} is a pattern: pass the name of one setting")
    read = _read(connection, _nodes(connection), _PATTERNS)
    before = {node: values.get(name) for node, values in read.items()}
    lacking = [node for node, old in before.items() if old is None]
    if lacking:
        where = "" if len(lacking) == len(before) else f" on {', '.join(lacking)}"
        raise InvalidInputError(
            f"there is no setting {name!r} for indexes{where}; `valkey-vector config` lists them all"
        )
    if not dry_run:
        _set_all(connection, name, value, before)
        after = {
            node: values.get(name) for node, values in _read(connection, before, [name]).items()
        }
    else:
        after = dict.fromkeys(before, value)
    changes = [
        NodeChange(node=node, old=old or "", new=after.get(node) or "")
        for node, old in before.items()
    ]
    return ConfigurationChange(name=name, dry_run=dry_run, nodes=tuple(changes))


aset_configuration = async_version(set_configuration)


def _set_all(
    connection: Connection, name: str, value: str, before: Mapping[str, str | None]
) -> None:
    tried: list[str] = []
    try:
        for node in before:
            tried.append(node)
            _send(connection, node, "SET", [[name, value]])
    except (ValkeyVectorError, KeyboardInterrupt) as error:
        # A node that refused has its old value. After an outage or an interrupt nobody knows.
        unsure = isinstance(error, ConnectionError | TimeoutError | KeyboardInterrupt)
        left = _set_back(connection, name, before, tried if unsure else tried[:-1])
        if not left:
            raise
        raise ServerError(
            f"{tried[-1]}: {str(error) or 'interrupted'}. These nodes may have the new value of {name} and could not be "
            f"set back: {', '.join(left)}",
            "CONFIG SET",
        ) from error


def _set_back(
    connection: Connection, name: str, before: Mapping[str, str | None], nodes: Sequence[str]
) -> list[str]:
    """Give nodes their old value. Returns those that refused."""
    left: list[str] = []
    for node in nodes:
        try:
            _send(connection, node, "SET", [[name, before[node] or ""]])
        except ValkeyVectorError:
            left.append(node)
    return left


def _read(
    connection: Connection, nodes: Iterable[str], patterns: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Address of each node -> its settings."""
    arguments = [[pattern] for pattern in patterns]
    return {
        node: {
            name: value
            for reply in _send(connection, node, "GET", arguments)
            for name, value in settings_of(reply).items()
        }
        for node in nodes
    }


def _nodes(connection: Connection) -> list[str]:
    """Addresses of all nodes, primaries first, also of primaries without slots.

    Raises:
        ServerError: a node of the cluster has failed, so that not all nodes can be read or changed.
    """
    if not connection.capabilities.cluster:
        return [connection.settings.location]
    listed = connection.execute("CLUSTER", "NODES", retry=True)
    text = listed if isinstance(listed, bytes) else next(iter(listed.values()))
    known = parse_nodes(text.decode(errors="replace"), connection.settings.addresses[0].host)
    if failed := [f"{node.host}:{node.port}" for node in known if node.failed]:
        raise ServerError(
            f"the cluster considers these nodes failed: {', '.join(failed)}. Start them or remove them with "
            "CLUSTER FORGET first: settings are read and changed on all nodes or on none"
        )
    ordered = sorted(known, key=lambda node: (not node.primary, node.host, node.port))
    return [f"{node.host}:{node.port}" for node in ordered]


def _send(
    connection: Connection, node: str, verb: str, arguments: Sequence[Sequence[str]]
) -> list[Any]:
    """Send CONFIG to a node, once with each list of arguments, in one round trip.

    Raises:
        UnsupportedFeatureError: the server has no CONFIG.
        AuthenticationError: the user may not run it.
    """
    commands = [["CONFIG", verb, *each] for each in arguments]
    try:
        # A connection of its own: the cluster client does not know primaries without slots.
        if connection.capabilities.cluster:
            return checked(connection.pipeline_on(node, commands))
        return checked(connection.pipeline(commands, retry=verb == "GET"))
    except AuthenticationError as error:
        raise AuthenticationError(
            f"{error.message}. Grant it with +config|{verb.lower()}, or use an administrator's user",
            "CONFIG",
        ) from error
    except ServerError as error:
        if "unknown command" in error.message.lower():
            raise UnsupportedFeatureError(
                "CONFIG",
                connection.capabilities.description,
                "a server that you administer; managed services have their own console or parameter groups for settings",
            ) from error
        raise
