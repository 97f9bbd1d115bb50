"""The doctor on set-ups in which no connection is made, or the user may not do what an application does."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_runs import json_of, run_command
from doctor_setups import answering, codes, filled, found, sentinel
from servers import TestServer, free_port, start_server
from tls_servers import Certificates, forwarder
from valkey_vector import Address, Connection, ConnectionSettings, IamSettings, TlsSettings
from valkey_vector.connection import glide_version
from valkey_vector.operations import DoctorReport, diagnose
from valkey_vector.operations.doctor.reaching import reach

# It sends commands with invalid arguments, to learn whether the user may run them.
pytestmark = pytest.mark.wrong_dialect

SECRET = "hunter2secret"


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    """A plain server with one index and several users."""
    with start_server() as server:
        server.command("ACL", "SETUSER", "right", "on", f">{SECRET}", "~*", "+@all")
        server.command("ACL", "SETUSER", "off", "off", f">{SECRET}", "~*", "+@all")
        with filled(server.url):
            yield server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.make_authority("ca")
    made.make_authority("stranger")
    made.issue("server", "subjectAltName=IP:127.0.0.1,DNS:localhost", "extendedKeyUsage=serverAuth")
    made.issue("elsewhere", "subjectAltName=DNS:elsewhere.test", "extendedKeyUsage=serverAuth")
    made.issue("client", "extendedKeyUsage=clientAuth")
    return made


def context_of(certificates: Certificates, name: str = "server") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path(f"{name}.pem"), certificates.path(f"{name}.key"))
    return context


@pytest.fixture(scope="module")
def tls_port(certificates: Certificates, server: TestServer) -> Iterator[int]:
    with forwarder(context_of(certificates), (server.host, server.port)) as port:
        yield port


def examined(url: str, **options: object) -> DoctorReport:
    report = diagnose(url, recall=False, **options)  # type: ignore[arg-type]
    assert SECRET not in str(report)
    return report


def test_nothing_listens() -> None:
    report = examined(f"valkey://127.0.0.1:{free_port()}")
    assert "start the server" in found(report, "server.unreachable")
    assert not report.ok


def test_the_host_is_unknown() -> None:
    found(examined("valkey://no-such-host.invalid:6379"), "server.unknown_host")


def test_one_of_two_addresses_does_not_answer(server: TestServer) -> None:
    report = examined(f"{server.url},127.0.0.1:{free_port()}")
    found(report, "server.unreachable", "warning")
    assert report.ok


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_something_else_listens(answer: bytes) -> None:
    with answering(answer) as port:
        found(examined(f"valkey://127.0.0.1:{port}"), "server.not_valkey")


@pytest.mark.parametrize("user", ["right", "off", "nobody"])
def test_the_password_is_wrong_or_the_user_disabled_or_unknown(
    server: TestServer, user: str
) -> None:
    secret = SECRET if user == "off" else f"{SECRET}-wrong"
    report = examined(f"valkey://{user}:{secret}@{server.host}:{server.port}")
    assert repr(user) in found(report, "auth.wrong_password")


def test_a_password_is_required() -> None:
    with start_server() as server:
        server.command("CONFIG", "SET", "requirepass", SECRET)
        found(examined(server.url), "auth.required")


def test_a_password_is_given_that_the_server_does_not_have(server: TestServer) -> None:
    report = examined(f"valkey://:{SECRET}@{server.host}:{server.port}")
    found(report, "auth.not_configured")


def test_the_server_expects_tls(tls_port: int) -> None:
    assert "valkeys://" in found(examined(f"valkey://127.0.0.1:{tls_port}"), "tls.required")


def test_the_server_does_not_use_tls(server: TestServer) -> None:
    report = examined(f"valkeys://{server.host}:{server.port}")
    assert "valkey://" in found(report, "tls.unexpected")


@pytest.mark.parametrize("authority", [None, "stranger"])
def test_another_authority_signed_the_certificate(
    certificates: Certificates, tls_port: int, authority: str | None
) -> None:
    option = "" if authority is None else f"?tls_ca={certificates.path(f'{authority}.pem')}"
    report = examined(f"valkeys://127.0.0.1:{tls_port}{option}")
    assert "tls_ca" in found(report, "tls.unknown_authority")


def test_the_certificate_is_of_another_host(certificates: Certificates, server: TestServer) -> None:
    with forwarder(context_of(certificates, "elsewhere"), (server.host, server.port)) as port:
        url = f"valkeys://127.0.0.1:{port}?tls_ca={certificates.path('ca.pem')}"
        found(examined(url), "tls.wrong_host")


def test_a_file_of_a_certificate_is_missing(tls_port: int, tmp_path: Path) -> None:
    report = examined(f"valkeys://127.0.0.1:{tls_port}?tls_ca={tmp_path / 'none.pem'}")
    found(report, "tls.file")


def test_a_client_certificate_is_required(certificates: Certificates, server: TestServer) -> None:
    context = context_of(certificates)
    context.load_verify_locations(certificates.path("ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    with forwarder(context, (server.host, server.port)) as port:
        url = f"valkeys://127.0.0.1:{port}?tls_ca={certificates.path('ca.pem')}"
        found(examined(url), "tls.client_certificate")


def test_a_token_of_iam_is_left_to_the_client(certificates: Certificates) -> None:
    with start_server() as server:
        server.command("CONFIG", "SET", "requirepass", SECRET)
        with forwarder(context_of(certificates), (server.host, server.port)) as port:
            settings = ConnectionSettings(
                addresses=(Address("127.0.0.1", port),),
                username="app",
                tls=TlsSettings(ca=certificates.path("ca.pem")),
                iam=IamSettings(cluster_name="cache", region="eu-west-1"),
            )
            reached = reach(settings)
    assert reached.admitted
    assert reached.findings == ()


def test_tls_that_is_in_order_has_no_error(certificates: Certificates, tls_port: int) -> None:
    report = examined(f"valkeys://127.0.0.1:{tls_port}?tls_ca={certificates.path('ca.pem')}")
    assert report.ok, str(report)
    assert "index articles" in report.checked


def test_there_are_too_many_clients() -> None:
    with (
        start_server(extra=["--maxclients", "1"]) as server,
        socket.create_connection((server.host, server.port)) as held,
    ):
        held.sendall(b"PING\r\n")
        assert held.recv(100) == b"+PONG\r\n"
        found(examined(server.url), "server.max_clients")


def test_the_database_does_not_exist(server: TestServer) -> None:
    assert "database 99" in found(examined(f"{server.url}/99"), "server.no_database")


def test_a_cluster_is_expected_where_there_is_a_single_node(server: TestServer) -> None:
    found(examined(f"{server.url}?cluster=true"), "cluster.not_a_cluster")


def test_a_single_node_is_expected_where_there_is_a_cluster() -> None:
    with start_server(cluster=True) as server:
        report = examined(f"{server.url}?cluster=false")
    found(report, "cluster.is_a_cluster")


def test_a_cluster_announces_an_address_that_clients_do_not_reach() -> None:
    port = free_port()
    with start_server(cluster=True, extra=["--cluster-announce-port", str(port)]) as server:
        report = examined(server.url)
    assert str(port) in found(report, "cluster.node_unreachable")


def test_slots_of_a_cluster_are_not_served() -> None:
    with start_server(cluster=True) as server:
        server.command("CLUSTER", "DELSLOTS", 7)
        report = examined(server.url)
    found(report, "cluster.down")
    assert "16383" in found(report, "cluster.slots")


def test_the_address_is_that_of_a_sentinel() -> None:
    with sentinel() as url:
        found(examined(url), "server.sentinel")


def test_the_client_is_of_a_version_that_does_not_fit(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = {"valkey-glide-sync": "2.5.1", "valkey-glide": None}
    monkeypatch.setattr(glide_version, "_installed", installed.get)
    report = examined(server.url)
    assert "2.5.1" in found(report, "client.version")
    assert codes(report) == ["client.version"]


def restricted(server: TestServer, *rules: str) -> str:
    server.command("ACL", "SETUSER", "app", "reset", "on", f">{SECRET}", *rules)
    return f"valkey://app:{SECRET}@{server.host}:{server.port}"


ALL_KEYS = ("~articles:*", "~{articles}:*", "+@all")


def test_the_user_lacks_a_command(server: TestServer) -> None:
    report = examined(restricted(server, *ALL_KEYS, "-hset", "-unlink"), names=["articles"])
    text = found(report, "acl.commands")
    assert "HSET" in text
    assert "ACL SETUSER app +hset +unlink" in text
    assert report.user == "app"


def test_the_user_lacks_nothing_that_its_role_needs(server: TestServer) -> None:
    reader = restricted(server, *ALL_KEYS, "-hset", "-unlink")
    assert "acl.commands" not in codes(examined(reader, names=["articles"], role="reader"))


@pytest.mark.parametrize(
    ("pattern", "missing"),
    [("~articles:*", "~{articles}:*"), ("~{articles}:*", "~articles:*")],
)
def test_the_user_lacks_a_key_pattern(server: TestServer, pattern: str, missing: str) -> None:
    report = examined(restricted(server, pattern, "+@all"), names=["articles"])
    assert f"ACL SETUSER app {missing}" in found(report, "acl.keys")


def test_the_user_may_not_run_info(server: TestServer) -> None:
    report = examined(restricted(server, *ALL_KEYS, "-info"), names=["articles"])
    found(report, "acl.optional", "note")
    assert any(each.startswith("INFO") for each in report.skipped)


@pytest.mark.parametrize(
    ("option", "command", "code"),
    [("/1", "select", "acl.select"), ("?client_name=billing", "client|setname", "acl.client_name")],
)
def test_a_setting_needs_a_command_that_the_user_lacks(
    server: TestServer, option: str, command: str, code: str
) -> None:
    url = restricted(server, *ALL_KEYS, f"-{command}")
    assert f"+{command}" in found(examined(f"{url}{option}"), code)
    report = examined(f"{restricted(server, *ALL_KEYS)}{option}", names=["articles"])
    assert all(f"+{command}" in each.line for each in report.acl)


def test_examining_permissions_changes_nothing(server: TestServer) -> None:
    with Connection.open(server.url) as connection:
        before = sorted(key for page in connection.scan("*") for key in page)
        contents = connection.execute("HGETALL", "articles:d1")
        examined(server.url, role="administrator")
        assert sorted(key for page in connection.scan("*") for key in page) == before
        assert connection.execute("HGETALL", "articles:d1") == contents


def test_the_command_prints_findings_cures_and_lines_but_no_password(server: TestServer) -> None:
    url = restricted(server, *ALL_KEYS, "-hset")
    ended = run_command("doctor", "articles", url=url)
    assert ended.returncode == 1, ended.stderr
    assert "error: acl.commands" in ended.stdout
    assert "cure: ACL SETUSER app +hset" in ended.stdout
    assert "ACL SETUSER reader reset on >PASSWORD ~articles:* ~{articles}:* -@all" in ended.stdout
    assert SECRET not in ended.stdout + ended.stderr
    wrong = json_of("doctor", url=url.replace(SECRET, f"{SECRET}x"), code=1)
    assert [each["code"] for each in wrong["findings"]] == ["auth.wrong_password"]
    assert wrong["ok"] is False
