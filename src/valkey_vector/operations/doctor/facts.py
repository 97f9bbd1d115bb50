"""The facts about a server on which its rules decide: what each node reports, and the capabilities of the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from valkey_vector.connection import Capabilities, Connection
from valkey_vector.errors import ServerError
from valkey_vector.operations.server_statistics import parse_info

__all__ = ["NodeFacts", "ServerFacts", "read_facts", "settings_of"]

_SETTINGS = (
    "maxmemory",
    "maxmemory-policy",
    "save",
    "appendonly",
    "appendfsync",
    "search.*",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """Reports of one node.

    Attributes:
        node: address of the node.
        info: fields of INFO; empty if the user may not run it.
        configuration: settings of CONFIG GET; empty if the user may not run it.
    """

    node: str
    info: Mapping[str, str]
    configuration: Mapping[str, str]

    def number(self, name: str) -> int:
        """A field of INFO as an integer. 0 if it is missing."""
        text = self.info.get(name, "")
        return int(text) if text.isdecimal() else 0

    def setting(self, name: str) -> int | None:
        """A setting as an integer. None if it is not known."""
        text = self.configuration.get(name, "")
        return int(text) if text.isdecimal() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """Reports of a server.

    Attributes:
        location: URL of the server, without credentials.
        capabilities: server, module and their versions.
        database: number of the database that is used.
        nodes: each node (of a cluster, each primary).
        cluster: fields of CLUSTER INFO; empty without a cluster.
        cores: processors of the server's machine. None if they are not known.
        skipped: facts that could not be read, with the reason.
    """

    location: str
    capabilities: Capabilities
    database: int
    nodes: tuple[NodeFacts, ...]
    cluster: Mapping[str, str]
    cores: int | None
    skipped: tuple[str, ...] = ()


def read_facts(connection: Connection, cores: int | None) -> ServerFacts:
    """Read what every node reports. What the user may not read is skipped.

    Cost: a round trip to each node for INFO and for each setting.

    Raises:
        ConnectionLostError, RequestTimeoutError: an outage.
    """
    skipped: list[str] = []
    infos = _from_each(connection, ("INFO", "everything"), skipped)
    settings: dict[str, dict[str, str]] = {node: {} for node in infos}
    for name in _SETTINGS:
        replies = _from_each(connection, ("CONFIG", "GET", name), skipped)
        for node, reply in replies.items():
            settings.setdefault(node, {}).update(settings_of(reply))
    nodes = tuple(
        NodeFacts(node=node, info=_info(reply), configuration=settings.get(node, {}))
        for node, reply in infos.items()
    )
    cluster: dict[str, str] = {}
    if connection.capabilities.cluster:
        replies = _from_each(connection, ("CLUSTER", "INFO"), skipped)
        for reply in replies.values():
            cluster = dict(_info(reply))
    return ServerFacts(
        location=connection.settings.location,
        capabilities=connection.capabilities,
        database=connection.settings.database,
        nodes=nodes,
        cluster=cluster,
        cores=cores,
        skipped=tuple(dict.fromkeys(skipped)),
    )


def _from_each(
    connection: Connection, command: Sequence[str], skipped: list[str]
) -> dict[str, object]:
    """The reply of each node; a refusal is noted and has no reply."""
    location = connection.settings.location
    (reply,) = connection.pipeline([command], retry=True)
    if isinstance(reply, ServerError):
        _note_refusal(reply, command, skipped)
        return {location: None}
    if not connection.capabilities.cluster:
        return {location: reply}
    replies = connection.execute_on_primaries(*command, retry=True)
    return {address.decode(): reply for address, reply in sorted(replies.items())}


def _note_refusal(error: ServerError, command: Sequence[str], skipped: list[str]) -> None:
    """Note why a fact is not known.

    Raises:
        ServerError: it is an outage.
    """
    if isinstance(error, ConnectionError | TimeoutError):
        raise error
    name = command[0] if command[0] == "INFO" else " ".join(command[:2])
    skipped.append(f"{name}: {error.message}")


def _info(reply: object) -> Mapping[str, str]:
    return parse_info(reply) if isinstance(reply, bytes | str) else {}


def settings_of(reply: object) -> dict[str, str]:
    """Decode a reply to CONFIG GET: GLIDE returns a map or a flat list."""
    if isinstance(reply, Mapping):
        return {_text(name): _text(value) for name, value in reply.items()}
    if isinstance(reply, list):
        return {_text(n): _text(v) for n, v in zip(reply[::2], reply[1::2], strict=False)}
    return {}


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
