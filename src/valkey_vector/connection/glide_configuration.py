"""Creation of GLIDE clients from `ConnectionSettings`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import glide_sync as glide

from valkey_vector.connection.admission import ANY_PASSWORD
from valkey_vector.connection.batch_encoding import with_fast_batches
from valkey_vector.connection.settings import ConnectionSettings, IamSettings, Pem, TlsSettings
from valkey_vector.errors import ConfigurationError

__all__ = ["create_client", "milliseconds"]

# The delay of a reconnect is at most 50 ms × 2⁴, so that a recovered server is noticed within a second.
_RECONNECT = (4, 50, 2)


def create_client(
    settings: ConnectionSettings, cluster: bool, discovery: glide.NodeDiscoveryMode
) -> glide.TGlideClient:
    """Create a client and connect it.

    Raises:
        GlideError: the client cannot connect.
        ConfigurationError: a file of the TLS settings cannot be read.
    """
    common: dict[str, Any] = {
        "addresses": _addresses(settings),
        "use_tls": settings.tls is not None,
        "credentials": _credentials(settings),
        "read_from": glide.ReadFrom[settings.read_from.upper()],
        "client_az": settings.client_az,
        "request_timeout": milliseconds(settings.request_timeout),
        "reconnect_strategy": glide.BackoffStrategy(*_RECONNECT),
        "database_id": settings.database,
        "client_name": settings.client_name,
        "client_info_tag": "valkey-vector",
        # The replies of both search modules have the same structure only in RESP2.
        "protocol": glide.ProtocolVersion.RESP2,
    }
    timeout = milliseconds(settings.connection_timeout)
    tls = _tls(settings.tls) if settings.tls else None
    client: glide.TGlideClient
    if cluster:
        cluster_config = glide.GlideClusterClientConfiguration(
            **common,
            advanced_config=glide.AdvancedGlideClusterClientConfiguration(
                connection_timeout=timeout, tls_config=tls
            ),
        )
        try:
            client = glide.GlideClusterClient.create(cluster_config)
        finally:
            cluster_config.lazy_connect = True
        return with_fast_batches(client)
    if settings.read_from != "primary" and len(settings.addresses) == 1:
        discovery = glide.NodeDiscoveryMode.DISCOVER_ALL
    config = glide.GlideClientConfiguration(
        **common,
        node_discovery_mode=discovery,
        advanced_config=glide.AdvancedGlideClientConfiguration(
            connection_timeout=timeout, tls_config=tls
        ),
    )
    try:
        client = glide.GlideClient.create(config)
    finally:
        # In every forked child GLIDE creates the client again from this configuration, even a client
        # that failed to connect. Connecting at once would slow down children that never use the
        # client, and break them during an outage.
        config.lazy_connect = True
    return with_fast_batches(client)


def milliseconds(seconds: float) -> int:
    """Convert seconds into GLIDE's unit, whole milliseconds, at least 1."""
    return max(1, round(seconds * 1000))


def _addresses(settings: ConnectionSettings) -> list[glide.NodeAddress]:
    if settings.unix_socket is not None:
        return [glide.NodeAddress(unix_socket_path=settings.unix_socket)]
    return [glide.NodeAddress(host, port) for host, port in settings.addresses]


def _credentials(settings: ConnectionSettings) -> glide.ServerCredentials | None:
    if settings.iam is not None:
        return glide.ServerCredentials(username=settings.username, iam_config=_iam(settings.iam))
    if settings.username is None and settings.password is None:
        return None
    return glide.ServerCredentials(settings.password or ANY_PASSWORD, settings.username)


def _iam(iam: IamSettings) -> glide.IamAuthConfig:
    return glide.IamAuthConfig(
        iam.cluster_name,
        glide.ServiceType[iam.service.upper()],
        iam.region,
        iam.refresh_interval,
    )


def _tls(tls: TlsSettings) -> glide.TlsAdvancedConfiguration:
    ca = _pem("ca", tls.ca)
    certificate, key = _pem("certificate", tls.certificate), _pem("key", tls.key)
    if isinstance(tls.certificate, bytes) or isinstance(tls.key, bytes):
        return glide.TlsAdvancedConfiguration(tls.insecure, ca, certificate, key)
    return glide.TlsAdvancedConfiguration(
        tls.insecure, ca, client_cert_path=tls.certificate, client_key_path=tls.key
    )


def _pem(name: str, source: Pem | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    try:
        content = Path(source).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read tls {name}: {error}") from None
    if not content:
        raise ConfigurationError(f"the tls {name} file is empty: {source!s}")
    return content
