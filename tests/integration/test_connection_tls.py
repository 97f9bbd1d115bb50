"""TLS, through a forwarder that ends it in front of a plain server: own CA, client certificates."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import TestServer, start_server
from tls_servers import Certificates, forwarder
from valkey_vector.connection import Address, Connection, ConnectionSettings, TlsSettings
from valkey_vector.errors import ConfigurationError, ConnectionLostError


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.make_authority("ca")
    made.make_authority("stranger")
    made.issue("server", "subjectAltName=IP:127.0.0.1,DNS:localhost", "extendedKeyUsage=serverAuth")
    made.issue("client", "extendedKeyUsage=clientAuth")
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with start_server() as server:
        yield server


@pytest.fixture(scope="module")
def tls_port(certificates: Certificates, server: TestServer) -> Iterator[int]:
    """A port that shows its certificate and requires none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path("server.pem"), certificates.path("server.key"))
    with forwarder(context, (server.host, server.port)) as port:
        yield port


@pytest.fixture(scope="module")
def mutual_port(certificates: Certificates, server: TestServer) -> Iterator[int]:
    """A port that also requires a certificate of the CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path("server.pem"), certificates.path("server.key"))
    context.load_verify_locations(certificates.path("ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    with forwarder(context, (server.host, server.port)) as port:
        yield port


def test_a_server_of_a_private_authority_is_trusted_on_request(
    certificates: Certificates, tls_port: int
) -> None:
    ca = certificates.path("ca.pem")
    for host in ("127.0.0.1", "localhost"):
        with Connection.open(f"valkeys://{host}:{tls_port}?tls_ca={ca}") as connection:
            assert connection.execute("PING") == b"PONG"
            assert connection.execute("ECHO", "x" * 300_000) == b"x" * 300_000
    settings = ConnectionSettings(
        addresses=(Address("127.0.0.1", tls_port),), tls=TlsSettings(ca=ca.read_bytes())
    )
    with Connection(settings) as connection:
        assert connection.execute("PING") == b"PONG"


@pytest.mark.parametrize("authority", [None, "stranger.pem"])
def test_a_server_of_an_unknown_authority_is_refused(
    certificates: Certificates, tls_port: int, authority: str | None
) -> None:
    ca = f"?tls_ca={certificates.path(authority)}" if authority else ""
    with (
        Connection.open(f"rediss://127.0.0.1:{tls_port}{ca}") as connection,
        pytest.raises(ConnectionLostError),
    ):
        connection.execute("PING")


def test_any_certificate_is_accepted_only_when_said_so(tls_port: int) -> None:
    url = f"valkeys://127.0.0.1:{tls_port}?tls_insecure=true"
    with Connection.open(url) as connection:
        assert connection.execute("PING") == b"PONG"


def test_a_client_certificate_is_shown_from_files_or_bytes(
    certificates: Certificates, mutual_port: int
) -> None:
    ca, certificate, key = (certificates.path(f) for f in ("ca.pem", "client.pem", "client.key"))
    url = f"valkeys://127.0.0.1:{mutual_port}?tls_ca={ca}"
    with Connection.open(f"{url}&tls_certificate={certificate}&tls_key={key}") as connection:
        assert connection.execute("PING") == b"PONG"
    for pair in (
        TlsSettings(ca=ca, certificate=certificate, key=key),
        TlsSettings(ca=ca, certificate=certificate.read_bytes(), key=key.read_bytes()),
        TlsSettings(ca=ca, certificate=certificate, key=key.read_bytes()),
    ):
        with Connection.open(url, tls=pair) as connection:
            assert connection.execute("PING") == b"PONG"


def test_without_the_required_client_certificate_there_is_no_connection(
    certificates: Certificates, mutual_port: int
) -> None:
    url = f"valkeys://127.0.0.1:{mutual_port}?tls_ca={certificates.path('ca.pem')}"
    with Connection.open(url) as connection, pytest.raises(ConnectionLostError):
        connection.execute("PING")


def test_a_file_that_is_missing_or_empty_is_named(
    certificates: Certificates, tls_port: int, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").touch()
    for name, problem in (("missing.pem", "cannot read"), ("empty.pem", "is empty")):
        url = f"valkeys://127.0.0.1:{tls_port}?tls_ca={tmp_path / name}"
        with (
            Connection.open(url) as connection,
            pytest.raises(ConfigurationError, match=problem) as it,
        ):
            connection.execute("PING")
        assert name in str(it.value)


def test_plain_text_to_a_tls_port_fails_in_time(tls_port: int) -> None:
    url = f"valkey://127.0.0.1:{tls_port}?connection_timeout=1&request_timeout=2"
    with Connection.open(url) as connection, pytest.raises(ConnectionLostError):
        connection.execute("PING")
