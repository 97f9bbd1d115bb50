"""How the store's constructor arguments become a connection of the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from haystack.utils import Secret

from valkey_vector import Address, Connection, ConnectionSettings, TlsSettings

__all__ = ["StoreSettings"]

_SECONDS_PER_DOCUMENT = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where the server is, as Haystack's users say it. Times are in milliseconds.

    Attributes:
        nodes_list: hosts and ports; None for localhost:6379.
        url: instead of all others, which it can hold as options (``?request_timeout=10``).
        cluster_mode: whether it is a cluster; if False, the server is asked.
        use_tls: encrypt.
        username: ACL user.
        password: its password.
        request_timeout: for one request; those that write a batch get 20 ms more for each document.
        retry_attempts: how often a read is tried again after an outage.
        retry_base_delay_ms: wait before the first of these.
        retry_exponent_base: each wait is so many times the one before.
        batch_size: documents in one request.
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

    def connect(self) -> Connection:
        """A connection, with the secrets resolved now; connects at first use.

        Raises:
            ConfigurationError: a setting is wrong.
        """
        if self.url is not None:
            return Connection.open(self.url)
        nodes = self.nodes_list or [("localhost", 6379)]
        settings = ConnectionSettings(
            addresses=tuple(Address(host, port) for host, port in nodes),
            cluster=True if self.cluster_mode else None,
            tls=TlsSettings() if self.use_tls else None,
            username=self.username.resolve_value() if self.username else None,
            password=self.password.resolve_value() if self.password else None,
            request_timeout=self.request_timeout / 1000 + _SECONDS_PER_DOCUMENT * self.batch_size,
            retries=self.retry_attempts,
            retry_delay=self.retry_base_delay_ms / 1000,
            retry_factor=self.retry_exponent_base,
        )
        return Connection(settings)

    def serialisable_url(self) -> str | None:
        """The URL, if it has no password in it.

        Raises:
            ValueError: it has.
        """
        if self.url is not None and ConnectionSettings.from_url(self.url).password is not None:
            raise ValueError(
                "the store's URL holds a password, which must not be written down; leave it out of the URL and "
                "give nodes_list with password=Secret.from_env_var(...) instead"
            )
        return self.url
