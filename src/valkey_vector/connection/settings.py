"""All a connection needs to know, as values: checked when made, safe to print and to pickle."""

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

_LONGEST_SECONDS = 4_000_000.0
_MOST_IN_FLIGHT = 900


class Address(NamedTuple):
    """Where one server listens."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """How to encrypt, whom to trust, and how to identify oneself.

    Attributes:
        ca: certificates to trust instead of the system's: a path, or PEM text as bytes.
        certificate: the client's certificate, for servers that ask for one: a path, or PEM bytes.
            Given as paths, certificate and key are read anew when they are rotated.
        key: the certificate's private key: a path, or PEM bytes. Never shown.
        insecure: accept any certificate. Anybody on the way can then read and alter everything.
    """

    ca: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = field(default=None, repr=False)
    insecure: bool = False

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ConfigurationError("the TLS certificate and key must be given together")
        for name in ("ca", "certificate", "key"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str | os.PathLike | bytes):
                raise ConfigurationError(f"tls {name} must be a path or PEM bytes")
            if value in ("", b""):
                raise ConfigurationError(f"tls {name} is empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class IamSettings:
    """AWS IAM authentication; the credentials come from the usual AWS places.

    Attributes:
        cluster_name: the name of the cache cluster (not its address).
        region: its AWS region.
        service: ``"elasticache"`` or ``"memorydb"``.
        refresh_interval: seconds between two tokens; None: 300.
    """

    cluster_name: str
    region: str
    service: IamService = "elasticache"
    refresh_interval: int | None = None

    def __post_init__(self) -> None:
        if not self.cluster_name or not self.region:
            raise ConfigurationError("IAM needs the cluster's name and its region")
        _one_of("iam service", self.service, get_args(IamService))
        if self.refresh_interval is not None:
            _integer("iam refresh_interval", self.refresh_interval, 1, 43_200)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """Where the server is, who asks, and how patiently. Times are in seconds.

    Attributes:
        addresses: TCP addresses; several for a cluster, or for a primary and its replicas.
        unix_socket: path of a unix socket, instead of addresses.
        embedded: use a private server started on this machine, instead of addresses.
        embedded_directory: absolute directory for its data; None: temporary.
        username: ACL user; None: the server's default user.
        password: never shown.
        database: logical database, 0 or more.
        cluster: True or False; None asks the server.
        tls: encrypt; None: plain TCP.
        iam: AWS IAM instead of a password; needs ``username`` and ``tls``.
        read_from: which nodes answer reads. Everything but ``"primary"`` may read stale data.
        client_az: this client's availability zone, for the ``az_*`` kinds of ``read_from``.
        client_name: shown by the server in CLIENT LIST.
        request_timeout: how long one command may take.
        connection_timeout: how long connecting may take.
        write_connections: how many further connections bulk writes may use (lanes 1…n), 1 to 64.
        retries: how often an idempotent read is tried again after an outage, 0 to 100.
        retry_delay: wait before the first such retry.
        retry_factor: each wait is so many times the one before, 1 to 100.
        max_in_flight: commands under way at once per lane, 1 to 900; further callers wait.

    Raises:
        ConfigurationError: a value is out of range, or two contradict each other.
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
        """Settings from a URL (:mod:`valkey_vector.connection.url`) and keyword arguments.

        Every scalar setting can stand in the URL as ``?name=value``; those of TLS and IAM as
        ``tls_ca``, ``tls_certificate``, ``tls_key`` (paths), ``tls_insecure``,
        ``iam_cluster_name``, ``iam_region``, ``iam_service``, ``iam_refresh_interval``; the
        database also as ``db``.

        Args:
            url: where the server is.
            overrides: any attribute of this class; wins over the URL.

        Raises:
            ConfigurationError: the URL or a setting is wrong, or unknown.
        """
        unknown = sorted(set(overrides) - {item.name for item in fields(cls)})
        if unknown:
            raise ConfigurationError(f"unknown connection settings: {', '.join(unknown)}")
        return cls(**{**_from_parsed(parse_url(url)), **overrides})

    @staticmethod
    def shareable(url: str) -> str:
        """The URL without its password: what may be written down, printed or sent on.

        Raises:
            ConfigurationError: it is no connection URL.
        """
        return without_password(url)

    @property
    def location(self) -> str:
        """Where the server is, without any credential: for messages."""
        if self.embedded:
            return f"embedded://{self.embedded_directory or ''}"
        if self.unix_socket is not None:
            database = f"?db={self.database}" if self.database else ""
            return f"valkey+unix://{self.unix_socket}{database}"
        scheme = "valkeys" if self.tls else "valkey"
        database = f"/{self.database}" if self.database else ""
        return f"{scheme}://{','.join(map(str, self.addresses))}{database}"

    def with_unix_socket(self, path: str) -> ConnectionSettings:
        """The same settings, for the server that listens on this socket."""
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
        # GLIDE fails, rather than waits, at 1000 requests in flight.
        _integer("max_in_flight", self.max_in_flight, 1, _MOST_IN_FLIGHT)

    def _check_combinations(self) -> None:
        _instance("tls", self.tls, TlsSettings)
        _instance("iam", self.iam, IamSettings)
        if self.iam is not None:
            if not self.username:
                raise ConfigurationError("IAM authentication needs a username")
            if self.password is not None:
                raise ConfigurationError("give a password or IAM, not both")
            if self.tls is None:
                raise ConfigurationError("IAM authentication needs TLS: use valkeys:// or tls=")
        if self.unix_socket is not None or self.embedded:
            kind = "an embedded server" if self.embedded else "a unix socket"
            if self.tls is not None:
                raise ConfigurationError(f"{kind} takes no TLS")
            if self.cluster:
                raise ConfigurationError(f"{kind} cannot be a cluster")
        if self.embedded and self.unix_socket is not None:
            raise ConfigurationError("give a unix socket or embedded, not both")
        if self.embedded_directory is not None and not self.embedded:
            raise ConfigurationError("embedded_directory needs embedded=True")
        if self.read_from.startswith("az_") and not self.client_az:
            raise ConfigurationError(f"read_from={self.read_from!r} needs client_az")


def _from_parsed(parsed: ParsedUrl) -> dict[str, Any]:
    """The constructor's arguments that a URL stands for."""
    values: dict[str, Any] = {}
    match parsed.kind:
        case "tcp" | "tls":
            values["addresses"] = tuple(Address(*host) for host in parsed.hosts)
        case "unix":
            values["unix_socket"] = parsed.path
        case "embedded":
            values["embedded"] = True
            values["embedded_directory"] = parsed.path or None
    given = {
        "username": parsed.username,
        "password": parsed.password,
        "database": parsed.database,
    }
    values.update({name: value for name, value in given.items() if value is not None})
    tls: dict[str, Any] = {}
    iam: dict[str, Any] = {}
    groups = {"tls": tls, "iam": iam}
    for name, text in parsed.options.items():
        if name not in _OPTIONS:
            raise ConfigurationError(
                f"unknown option {name!r} in the connection URL; known are {', '.join(_OPTIONS)}"
            )
        group, field_name, convert = _OPTIONS[name]
        target = groups.get(group, values)
        if field_name in target:
            raise ConfigurationError(f"the connection URL gives {field_name!r} twice")
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


def _integer(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigurationError(f"{name} must be a whole number from {least} to {most}")


def _seconds(name: str, value: object) -> None:
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or not 0.001 <= value <= _LONGEST_SECONDS
    ):
        raise ConfigurationError(
            f"{name} must be a number of seconds from 0.001 to {_LONGEST_SECONDS:.0f}"
        )
