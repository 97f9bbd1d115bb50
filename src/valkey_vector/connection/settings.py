"""Connection settings as immutable values: validated on creation, safe to print and to pickle."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePath
from typing import Any, Literal, NamedTuple, get_args

from valkey_vector.connection.url import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    ParsedUrl,
    parse_url,
    without_password,
)
from valkey_vector.errors import ConfigurationError

ReadFrom = Literal[
    "primary",
    "prefer_replica",
    "all_nodes",
    "az_affinity",
    "az_affinity_replicas_and_primary",
    "az_affinity_all_nodes",
]
IamService = Literal["elasticache", "memorydb"]
Pem = str | os.PathLike[str] | bytes

_MAX_SECONDS = 4_000_000.0
_NODE_CONNECTION_SECONDS = 1.0
_MAX_IN_FLIGHT = 900


class Address(NamedTuple):
    """Host and port of one server."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """TLS settings: trusted certificates and the client's own certificate.

    Attributes:
        ca: certificates to trust instead of the system's: a path, or PEM text as bytes.
        certificate: the client's certificate, for servers that require one: a path, or PEM bytes.
            If certificate and key are paths, they are read again when the files are rotated.
        key: the certificate's private key: a path, or PEM bytes. Never shown.
        insecure: accept any certificate. An attacker on the network can then read and change all traffic.

    Raises:
        ConfigurationError: a value is empty or of the wrong type, or only one of certificate and key is set.
    """

    ca: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = field(default=None, repr=False)
    insecure: bool = False

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ConfigurationError("the TLS certificate and key must be set together")
        for name in ("ca", "certificate", "key"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str | os.PathLike | bytes):
                raise ConfigurationError(f"tls {name} must be a path or PEM bytes")
            if value in ("", b""):
                raise ConfigurationError(f"tls {name} is empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class IamSettings:
    """AWS IAM authentication, with the credentials of the AWS default provider chain.

    Attributes:
        cluster_name: the name of the cache cluster (not its address).
        region: the cluster's AWS region.
        service: ``"elasticache"`` or ``"memorydb"``.
        refresh_interval: seconds between two tokens, 1 to 43,200; None uses 300.

    Raises:
        ConfigurationError: a value is missing or out of range.
    """

    cluster_name: str
    region: str
    service: IamService = "elasticache"
    refresh_interval: int | None = None

    def __post_init__(self) -> None:
        if not self.cluster_name or not self.region:
            raise ConfigurationError("IAM needs a cluster_name and a region that are not empty")
        _one_of("iam service", self.service, get_args(IamService))
        if self.refresh_interval is not None:
            _integer("iam refresh_interval", self.refresh_interval, 1, 43_200)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """Location of the server, credentials, timeouts and limits. Times are in seconds.

    Attributes:
        addresses: TCP addresses; several for a cluster, or for a primary and its replicas.
        unix_socket: absolute path of a unix socket, instead of addresses.
        embedded: start and use a private server on this machine, instead of addresses.
        embedded_directory: absolute directory for the embedded server's data; None uses a temporary one.
        username: ACL user; None uses the server's default user.
        password: password of the user. Never shown.
        database: number of the logical database, >= 0.
        cluster: whether the server is a cluster; None detects it on connecting.
        tls: TLS settings; None uses plain TCP.
        iam: AWS IAM instead of a password; needs ``username`` and ``tls``.
        read_from: the nodes that answer reads of search indexes. All values but ``"primary"`` can return stale data.
        client_az: this client's availability zone, for the ``az_*`` values of ``read_from``.
        client_name: the client's name in the server's CLIENT LIST.
        request_timeout: timeout of one command, >= 0.001.
        connection_timeout: timeout of connecting, >= 0.001.
        write_connections: number of additional connections for bulk writes (lanes 1 to n), 1 to 64.
        retries: retries of an idempotent read after an outage, 0 to 100.
        retry_delay: delay before the first retry, >= 0.001.
        retry_factor: factor by which the delay grows with each retry, 1 to 100.
        max_in_flight: concurrent commands per lane, 1 to 900. Further callers wait.

    Raises:
        ConfigurationError: a value is out of range, or two values contradict each other.
    """

    addresses: tuple[Address, ...] = (Address(),)
    unix_socket: str | None = None
    embedded: bool = False
    embedded_directory: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    cluster: bool | None = None
    tls: TlsSettings | None = None
    iam: IamSettings | None = None
    read_from: ReadFrom = "primary"
    client_az: str | None = None
    client_name: str | None = None
    request_timeout: float = 30.0
    connection_timeout: float = 5.0
    write_connections: int = 4
    retries: int = 2
    retry_delay: float = 0.1
    retry_factor: int = 2
    max_in_flight: int = 256

    def __post_init__(self) -> None:
        self._check_values()
        self._check_combinations()

    @classmethod
    def from_url(cls, url: str, **overrides: Any) -> ConnectionSettings:
        """Create settings from a URL and keyword arguments.

        The URL can set every scalar setting as ``?name=value``, and the database also as ``db``. The options for
        TLS and IAM are ``tls_ca``, ``tls_certificate``, ``tls_key`` (paths), ``tls_insecure``,
        ``iam_cluster_name``, ``iam_region``, ``iam_service`` and ``iam_refresh_interval``.

        Args:
            url: see :mod:`valkey_vector.connection.url`.
            overrides: attributes of this class; they override the URL.

        Raises:
            ConfigurationError: the URL is malformed, or a setting is unknown or invalid.
        """
        unknown = sorted(set(overrides) - {item.name for item in fields(cls)})
        if unknown:
            raise ConfigurationError(
                f"unknown connection settings: {', '.join(unknown)}; see the attributes of ConnectionSettings"
            )
        return cls(**{**_from_parsed(parse_url(url)), **overrides})

    @staticmethod
    def shareable(url: str) -> str:
        """Remove the password from a URL, so that it is safe to log, print or send.

        Raises:
            ConfigurationError: the URL is malformed.
        """
        return without_password(url)

    @property
    def location(self) -> str:
        """URL of the server without credentials, for messages."""
        if self.embedded:
            return f"embedded://{self.embedded_directory or ''}"
        if self.unix_socket is not None:
            database = f"?db={self.database}" if self.database else ""
            return f"valkey+unix://{self.unix_socket}{database}"
        scheme = "valkeys" if self.tls else "valkey"
        database = f"/{self.database}" if self.database else ""
        return f"{scheme}://{','.join(map(str, self.addresses))}{database}"

    def of_node(self, address: str) -> ConnectionSettings:
        """Copy the settings, for a connection to one node of the cluster. It connects within a second, or fails.

        Args:
            address: host and port.
        """
        host, _, port = address.rpartition(":")
        return replace(
            self,
            addresses=(Address(host, int(port)),),
            cluster=False,
            read_from="primary",
            connection_timeout=min(_NODE_CONNECTION_SECONDS, self.connection_timeout),
        )

    def with_unix_socket(self, path: str) -> ConnectionSettings:
        """Copy the settings, with the address of a server that listens on a unix socket."""
        return replace(self, unix_socket=path, embedded=False, embedded_directory=None)

    def _check_values(self) -> None:
        _addresses(self.addresses)
        _text("unix_socket", self.unix_socket)
        _text("embedded_directory", self.embedded_directory)
        _text("username", self.username)
        _text("password", self.password)
        _text("client_az", self.client_az)
        _text("client_name", self.client_name)
        for name, path in (
            ("unix_socket", self.unix_socket),
            ("embedded_directory", self.embedded_directory),
        ):
            if path is not None and not PurePath(path).is_absolute():
                raise ConfigurationError(f"{name} must be an absolute path")
        if self.cluster is not None:
            _boolean("cluster", self.cluster)
        _boolean("embedded", self.embedded)
        _one_of("read_from", self.read_from, get_args(ReadFrom))
        _seconds("request_timeout", self.request_timeout)
        _seconds("connection_timeout", self.connection_timeout)
        _seconds("retry_delay", self.retry_delay)
        _integer("database", self.database, 0, 2**31 - 1)
        _integer("write_connections", self.write_connections, 1, 64)
        _integer("retries", self.retries, 0, 100)
        _integer("retry_factor", self.retry_factor, 1, 100)
        # GLIDE raises at 1000 requests in flight instead of waiting.
        _integer("max_in_flight", self.max_in_flight, 1, _MAX_IN_FLIGHT)

    def _check_combinations(self) -> None:
        _instance("tls", self.tls, TlsSettings)
        _instance("iam", self.iam, IamSettings)
        if self.iam is not None:
            if not self.username:
                raise ConfigurationError("IAM authentication needs a username")
            if self.password is not None:
                raise ConfigurationError("set a password or IAM, not both")
            if self.tls is None:
                raise ConfigurationError("IAM authentication needs TLS: use valkeys:// or tls=")
        if self.unix_socket is not None or self.embedded:
            kind = "an embedded server" if self.embedded else "a unix socket"
            if self.tls is not None:
                raise ConfigurationError(f"{kind} does not support TLS: remove the tls settings")
            if self.cluster:
                raise ConfigurationError(f"{kind} cannot be a cluster")
        if self.embedded and self.unix_socket is not None:
            raise ConfigurationError("set unix_socket or embedded, not both")
        if self.embedded_directory is not None and not self.embedded:
            raise ConfigurationError("embedded_directory needs embedded=True")
        if self.read_from.startswith("az_") and not self.client_az:
            raise ConfigurationError(f"read_from={self.read_from!r} needs client_az")


def _from_parsed(parsed: ParsedUrl) -> dict[str, Any]:
    """Convert a parsed URL into arguments of `ConnectionSettings`."""
    values: dict[str, Any] = {}
    match parsed.kind:
        case "tcp" | "tls":
            values["addresses"] = tuple(Address(*host) for host in parsed.hosts)
        case "unix":
            values["unix_socket"] = parsed.path
        case "embedded":
            values["embedded"] = True
            values["embedded_directory"] = parsed.path or None
    explicit = {
        "username": parsed.username,
        "password": parsed.password,
        "database": parsed.database,
    }
    values.update({name: value for name, value in explicit.items() if value is not None})
    tls: dict[str, Any] = {}
    iam: dict[str, Any] = {}
    groups = {"tls": tls, "iam": iam}
    for name, text in parsed.options.items():
        if name not in _OPTIONS:
            raise ConfigurationError(
                f"unknown option {name!r} in the connection URL; the options are {', '.join(_OPTIONS)}"
            )
        group, field_name, convert = _OPTIONS[name]
        target = groups.get(group, values)
        if field_name in target:
            raise ConfigurationError(f"the connection URL sets {field_name!r} twice")
        target[field_name] = convert(name, text)
    if tls and parsed.kind != "tls":
        raise ConfigurationError("tls options in a connection URL need valkeys:// or rediss://")
    if parsed.kind == "tls":
        values["tls"] = TlsSettings(**tls)
    if iam:
        missing = sorted({"cluster_name", "region"} - set(iam))
        if missing:
            raise ConfigurationError(f"the connection URL lacks iam_{' and iam_'.join(missing)}")
        values["iam"] = IamSettings(**iam)
    return values


def _option_text(name: str, text: str) -> str:
    if not text:
        raise ConfigurationError(f"the option {name!r} in the connection URL is empty")
    return text


def _option_boolean(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise ConfigurationError(f"the option {name!r} must be true or false")
    return text == "true"


def _option_integer(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ConfigurationError(f"the option {name!r} must be a number of 0 or more")
    return int(text)


def _option_seconds(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"the option {name!r} must be a number of seconds") from None


_OPTIONS: Mapping[str, tuple[str, str, Callable[[str, str], object]]] = {
    "username": ("", "username", _option_text),
    "password": ("", "password", _option_text),
    "db": ("", "database", _option_integer),
    "cluster": ("", "cluster", _option_boolean),
    "read_from": ("", "read_from", _option_text),
    "client_az": ("", "client_az", _option_text),
    "client_name": ("", "client_name", _option_text),
    "request_timeout": ("", "request_timeout", _option_seconds),
    "connection_timeout": ("", "connection_timeout", _option_seconds),
    "write_connections": ("", "write_connections", _option_integer),
    "retries": ("", "retries", _option_integer),
    "retry_delay": ("", "retry_delay", _option_seconds),
    "retry_factor": ("", "retry_factor", _option_integer),
    "max_in_flight": ("", "max_in_flight", _option_integer),
    "tls_ca": ("tls", "ca", _option_text),
    "tls_certificate": ("tls", "certificate", _option_text),
    "tls_key": ("tls", "key", _option_text),
    "tls_insecure": ("tls", "insecure", _option_boolean),
    "iam_cluster_name": ("iam", "cluster_name", _option_text),
    "iam_region": ("iam", "region", _option_text),
    "iam_service": ("iam", "service", _option_text),
    "iam_refresh_interval": ("iam", "refresh_interval", _option_integer),
}


def _addresses(value: object) -> None:
    if not isinstance(value, tuple) or not value:
        raise ConfigurationError("addresses must be a tuple of at least one Address")
    for address in value:
        if not isinstance(address, Address) or not address.host:
            raise ConfigurationError("addresses must hold Address(host, port) only")
        _integer("port", address.port, 1, 65_535)


def _instance(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise ConfigurationError(f"{name} must be None or a {kind.__name__}")


def _text(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value or "\0" in value):
        raise ConfigurationError(f"{name} must be None or a string that is not empty")


def _boolean(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False")


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def _integer(name: str, value: object, minimum: int, maximum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise ConfigurationError(f"{name} must be an integer from {minimum} to {maximum}")


def _seconds(name: str, value: object) -> None:
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or not 0.001 <= value <= _MAX_SECONDS
    ):
        raise ConfigurationError(
            f"{name} must be a number of seconds from 0.001 to {_MAX_SECONDS:.0f}"
        )
