"""Conversion of the store's constructor arguments to a connection of the core."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from haystack.utils import Secret

from valkey_vector import Address, Connection, ConnectionSettings, TlsSettings
from valkey_vector.records.representation import location_of
from valkey_vector.records.validation import check_range

__all__ = ["StoreSettings", "checked_nodes", "named_fields", "typed_fields"]

_SECONDS_PER_DOCUMENT = 0.02
_KINDS: dict[str, type[str | int]] = {"str": str, "int": int}
_RANGES = {
    "request_timeout": (1, 10**9),
    "retry_attempts": (0, 100),
    "retry_base_delay_ms": (1, 10**9),
    "retry_exponent_base": (1, 100),
    "batch_size": (1, 10_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Connection settings in Haystack's terms. Times are in milliseconds.

    Attributes:
        nodes_list: pairs of host and port. None uses `url`, or localhost:6379 without one.
        url: replaces `nodes_list` and the numbers below, which it can contain as options (``?request_timeout=10``). The
            user and the password come from the secrets unless the URL contains them.
        cluster_mode: True for a cluster. False detects the mode from the server.
        use_tls: encrypt the connection.
        username: ACL user.
        password: password of the user.
        request_timeout: timeout of a request. A request that writes a batch gets 20 ms more per document.
        retry_attempts: number of retries of a read after an outage.
        retry_base_delay_ms: delay before the first retry.
        retry_exponent_base: factor between one delay and the next.
        batch_size: documents per request.

    Raises:
        ValueError: if a setting is invalid, or two settings conflict.
    """

    nodes_list: Sequence[tuple[str, int]] | None
    url: str | None
    cluster_mode: bool
    use_tls: bool
    username: Secret | None
    password: Secret | None
    request_timeout: int
    retry_attempts: int
    retry_base_delay_ms: int
    retry_exponent_base: int
    batch_size: int

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            check_range(name, getattr(self, name), low, high)
        for name in ("username", "password"):
            secret = getattr(self, name)
            if secret is not None and not isinstance(secret, Secret):
                # The message omits the value, which is a secret.
                raise ValueError(f"{name} must be a Secret or None, not a {type(secret).__name__}")
        for name in ("cluster_mode", "use_tls"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, not {getattr(self, name)!r}")  # noqa: TRY004 - as all others
        if self.url is None:
            return
        if not isinstance(self.url, str):
            raise ValueError(f"url must be text or None, not a {type(self.url).__name__}")  # noqa: TRY004 - likewise
        if self.nodes_list is not None:
            raise ValueError("pass nodes_list or url, not both")
        if self.use_tls or self.cluster_mode:
            raise ValueError(
                "use_tls and cluster_mode require nodes_list; in a url, write valkeys:// and ?cluster=true"
            )

    @property
    def shown_server(self) -> str:
        """The server as it was passed, without credentials, for `repr`."""
        if self.nodes_list is not None:
            return f"nodes_list={self.nodes_list!r}"
        return f"url={location_of(self.url)!r}"

    def connect(self) -> Connection:
        """Create a connection, which connects on first use. Reads ``VALKEY_URL`` and the secrets now.

        ``VALKEY_URL`` applies if no setting names a server, TLS or a cluster.

        Raises:
            ConfigurationError: if a setting is invalid.
        """
        url = self.url
        if url is None and self.nodes_list is None and not (self.use_tls or self.cluster_mode):
            url = os.environ.get("VALKEY_URL") or None
        if url is not None:
            return Connection(self._of_url(url))
        nodes = self.nodes_list or [("localhost", 6379)]
        settings = ConnectionSettings(
            addresses=tuple(Address(host, port) for host, port in nodes),
            cluster=True if self.cluster_mode else None,
            tls=TlsSettings() if self.use_tls else None,
            username=_resolved(self.username),
            password=_resolved(self.password),
            request_timeout=self.request_timeout / 1000 + _SECONDS_PER_DOCUMENT * self.batch_size,
            retries=self.retry_attempts,
            retry_delay=self.retry_base_delay_ms / 1000,
            retry_factor=self.retry_exponent_base,
        )
        return Connection(settings)

    def _of_url(self, url: str) -> ConnectionSettings:
        """Return the settings of a URL, with the secrets unless it has credentials or is a private server."""
        settings = ConnectionSettings.from_url(url)
        anonymous = settings.username is None and settings.password is None
        if settings.embedded or settings.iam is not None or not anonymous:
            return settings
        return replace(
            settings, username=_resolved(self.username), password=_resolved(self.password)
        )

    def serializable_url(self) -> str | None:
        """Return the URL.

        Raises:
            ValueError: if the URL contains a password.
        """
        if self.url is not None and ConnectionSettings.from_url(self.url).password is not None:
            raise ValueError(
                "the store's URL contains a password, which cannot be serialized; remove it from the URL and "
                "pass password=Secret.from_env_var(...) instead"
            )
        return self.url


def _resolved(secret: Secret | None) -> str | None:
    value: str | None = secret.resolve_value() if secret else None
    return value


def checked_nodes(nodes: Any) -> list[tuple[str, int]] | None:
    """Return the pairs of host and port.

    Raises:
        ValueError: if they are not pairs of host and port, or the list is empty.
    """
    if nodes is None:
        return None
    if not isinstance(nodes, (list, tuple)) or not nodes:
        raise ValueError(
            f"nodes_list must be a non-empty list of (host, port) pairs, not {nodes!r}"
        )
    return [_checked_node(node) for node in nodes]


def _checked_node(node: Any) -> tuple[str, int]:
    host, port = node if isinstance(node, (list, tuple)) and len(node) == 2 else (None, 0)
    if not isinstance(host, str) or not host:
        raise ValueError(
            f'nodes_list must contain (host, port) pairs such as ("localhost", 6379), not {node!r}'
        )
    check_range(f"the port of {host!r} in nodes_list", port, 1, 65_535)
    return host, port


def named_fields(fields: dict[str, type[str | int]] | None) -> dict[str, str] | None:
    """Return the metadata fields with the names of their types."""
    return None if fields is None else {name: kind.__name__ for name, kind in fields.items()}


def typed_fields(fields: Any) -> dict[str, type[str | int]] | None:
    """Return the metadata fields with their types, which may be passed as ``"str"`` and ``"int"``.

    Raises:
        ValueError: if `fields` is not a dict of field names to `str` or `int`.
    """
    if fields is None:
        return None
    if not isinstance(fields, dict):
        raise ValueError(f"metadata_fields must be a dict or None, not {fields!r}")  # noqa: TRY004 - as all others
    typed: dict[str, type[str | int]] = {}
    for name, kind in fields.items():
        known = next((one for text, one in _KINDS.items() if kind is one or kind == text), None)
        if known is None or not isinstance(name, str):
            raise ValueError(
                f"metadata_fields must map names to str or int, not {name!r} to {kind!r}"
            )
        typed[name] = known
    return typed
