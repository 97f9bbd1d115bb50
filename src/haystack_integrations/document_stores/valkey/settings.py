"""How the store's constructor arguments become a connection of the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from haystack.utils import Secret

from valkey_vector import Address, Connection, ConnectionSettings, TlsSettings

__all__ = ["StoreSettings"]

_SECONDS_PER_DOCUMENT = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where the server is, as Haystack's users say it. Times are in milliseconds.

    Attributes:
        nodes_list: hosts and ports; None for localhost:6379.
        url: instead of nodes and the numbers below, which it can hold as options (``?request_timeout=10``). The
            user and the password are taken from the secrets where it has none.
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
            return Connection(self._of_url(self.url))
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
        """The settings a URL stands for, with the secrets where they are wanted: a private server has no users."""
        settings = ConnectionSettings.from_url(url)
        anonymous = settings.username is None and settings.password is None
        if settings.embedded or settings.iam is not None or not anonymous:
            return settings
        return replace(
            settings, username=_resolved(self.username), password=_resolved(self.password)
        )

    def serialisable_url(self) -> str | None:
        """The URL, if it has no password in it.

        Raises:
            ValueError: it has.
        """
        if self.url is not None and ConnectionSettings.from_url(self.url).password is not None:
            raise ValueError(
                "the store's URL holds a password, which must not be written down; leave it out of the URL and "
                "give password=Secret.from_env_var(...) instead"
            )
        return self.url


def _resolved(secret: Secret | None) -> str | None:
    value: str | None = secret.resolve_value() if secret else None
    return value
