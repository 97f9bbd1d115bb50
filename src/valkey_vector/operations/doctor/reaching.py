"""Checks each step of connecting on a plain socket: address, TLS, password, and the kind of server.

GLIDE reports most failures of a connection alike. Here each step has its own finding.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace

from valkey_vector.connection.admission import ANY_PASSWORD, tls_context
from valkey_vector.connection.settings import Address, ConnectionSettings, TlsSettings
from valkey_vector.operations.doctor.findings import Finding, error, warning

__all__ = ["Reached", "reach"]

_SECONDS = 5.0
_MORE_SECONDS = 0.5
"""Longest wait for the rest of the replies."""
_MAX_BYTES = 1 << 16
_MODE = re.compile(rb"mode\r\n\$\d+\r\n(\w+)")
_ROLE = re.compile(rb"role\r\n\$\d+\r\n(\w+)")
_PRIMARY_OF = re.compile(rb"\$5\r\nslave\r\n\$\d+\r\n(\S*)\r\n:(\d+)\r\n\$\d+\r\n(\w+)")
_TLS_ALERT = b"\x15\x03"
_UNKNOWN_CA = {18, 19, 20, 21}
_EXPIRED = {9, 10}
_WRONG_HOST = {62, 63, 64}


@dataclass(frozen=True, slots=True)
class Reached:
    """Result of connecting, step by step.

    Attributes:
        admitted: the server accepts the user.
        mode: ``standalone``, ``cluster`` or ``sentinel``; empty if the server does not report it.
        findings: what is wrong.
    """

    admitted: bool
    mode: str
    findings: tuple[Finding, ...]


class _StepError(Exception):
    """A step of connecting failed."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding


def reach(settings: ConnectionSettings) -> Reached:
    """Connect step by step, and say which step fails.

    Cost: one connection to each address.
    """
    if settings.embedded:
        return Reached(True, "standalone", ())
    findings: list[Finding] = []
    servers: list[_Server] = []
    for address in _places(settings):
        try:
            servers.append(_examine(settings, address))
        except _StepError as failed:
            findings.append(failed.finding)
    mode = next((each.mode for each in servers if each.mode), "")
    if servers:  # one address is enough; the others are a warning
        findings = [_lesser(finding) for finding in findings]
        findings += _mode_findings(settings, mode)
        if mode == "standalone" and all(each.replica for each in servers):
            findings += [finding for each in servers for finding in _replica_findings(each)]
    usable = bool(servers) and not any(each.severity == "error" for each in findings)
    return Reached(usable, mode, tuple(findings))


@dataclass(frozen=True, slots=True)
class _Server:
    """Server at an address that admits the user.

    Attributes:
        place: the address.
        mode: as in `Reached`.
        replica: it is a replica.
        primary: address of its primary, if it reports it.
        link: state of the link to its primary, if it reports it.
    """

    place: str
    mode: str
    replica: bool
    primary: str
    link: str


def _places(settings: ConnectionSettings) -> Sequence[Address | str]:
    return settings.addresses if settings.unix_socket is None else (settings.unix_socket,)


def _examine(settings: ConnectionSettings, place: Address | str) -> _Server:
    """Connect to one address.

    Raises:
        _StepError: a step fails.
    """
    with _connected(settings, place) as plain:
        if settings.tls is None:
            replies = _without_tls(plain, settings, place)
        else:
            host = place.host if isinstance(place, Address) else ""
            with _secured(plain, settings.tls, host, settings, place) as secure:
                try:
                    replies = _conversation(secure, settings)
                except OSError:  # an alert, or no reply: judged as an empty one
                    replies = b""
    return _judged(replies, settings, place)


def _connected(settings: ConnectionSettings, place: Address | str) -> socket.socket:
    seconds = min(settings.connection_timeout, _SECONDS)
    try:
        if isinstance(place, Address):
            return socket.create_connection(place, seconds)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(seconds)
        connection.connect(place)
    except socket.gaierror as failed:
        what = f"the name of the host cannot be resolved: {failed.strerror}"
        cure = "correct the host in the URL, or the name service of this machine"
        raise _StepError(error("server.unknown_host", str(place), what, cure)) from None
    except TimeoutError:
        what = f"no answer to a connection within {seconds:g} seconds"
        cure = "open the port in the firewall or security group, and check the address"
        raise _StepError(error("server.no_answer", str(place), what, cure)) from None
    except OSError as failed:
        what = f"nothing accepts connections: {failed.strerror or failed}"
        cure = "start the server, check host and port in the URL, and `bind` in the server's configuration"
        raise _StepError(error("server.unreachable", str(place), what, cure)) from None
    return connection


def _without_tls(plain: socket.socket, settings: ConnectionSettings, place: Address | str) -> bytes:
    """Talk without TLS, and find out if the server expects TLS."""
    try:
        replies = _conversation(plain, settings)
    except OSError:
        replies = b""
    replies = replies or _unsolicited(settings, place)
    if (not replies or replies.startswith(_TLS_ALERT)) and _speaks_tls(settings, place):
        what = "the server expects TLS, and the URL does not use it"
        cure = "use valkeys:// instead of valkey://, with ?tls_ca=… if a private authority signed its certificate"
        raise _StepError(error("tls.required", str(place), what, cure))
    return replies


def _unsolicited(settings: ConnectionSettings, place: Address | str) -> bytes:
    """Read the message of a server that ends connections at once. A client that sends something would lose it."""
    try:
        with _connected(settings, place) as plain:
            plain.settimeout(_MORE_SECONDS)
            return plain.recv(_MAX_BYTES)
    except (OSError, _StepError):
        return b""


def _speaks_tls(settings: ConnectionSettings, place: Address | str) -> bool:
    try:
        with _connected(settings, place) as plain:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with context.wrap_socket(plain):
                return True
    except ssl.SSLError as failed:
        # An alert of the server, such as a missing client certificate, is TLS, too.
        return "ALERT" in (failed.reason or "")
    except (OSError, _StepError):
        return False


def _secured(
    plain: socket.socket,
    tls: TlsSettings,
    host: str,
    settings: ConnectionSettings,
    place: Address | str,
) -> ssl.SSLSocket:
    try:
        context = tls_context(tls)
    except OSError as failed:
        what = f"a certificate or key of the settings cannot be read: {failed.strerror or failed}"
        cure = (
            "correct tls_ca, tls_certificate and tls_key: paths of PEM files that belong together"
        )
        raise _StepError(error("tls.file", str(place), what, cure)) from None
    try:
        return context.wrap_socket(plain, server_hostname=host or None)
    except ssl.SSLCertVerificationError as failed:
        raise _StepError(_untrusted(failed, place)) from None
    except OSError as failed:
        if _speaks_plainly(settings, place):
            what = "the server does not use TLS on this port, and the URL does"
            cure = "use valkey:// instead of valkeys://, or the TLS port of the server"
            raise _StepError(error("tls.unexpected", str(place), what, cure)) from None
        what = f"the TLS handshake failed: {_reason(failed)}"
        cure = "check the TLS versions and ciphers of the server, and the client certificate"
        raise _StepError(error("tls.handshake", str(place), what, cure)) from None


def _untrusted(failed: ssl.SSLCertVerificationError, place: Address | str) -> Finding:
    what = f"the server's certificate is not accepted: {failed.verify_message}"
    if failed.verify_code in _UNKNOWN_CA:
        cure = (
            "pass the certificate of the authority that signed the server's: ?tls_ca=/path/ca.pem"
        )
        return error("tls.unknown_authority", str(place), what, cure)
    if failed.verify_code in _EXPIRED:
        cure = "renew the server's certificate, and check the clocks of both machines"
        return error("tls.expired", str(place), what, cure)
    if failed.verify_code in _WRONG_HOST:
        cure = (
            "use a host name that the certificate contains, or issue one with this name or address"
        )
        return error("tls.wrong_host", str(place), what, cure)
    cure = "check the server's certificate with `openssl s_client -connect host:port`"
    return error("tls.certificate", str(place), what, cure)


def _speaks_plainly(settings: ConnectionSettings, place: Address | str) -> bool:
    try:
        with _connected(settings, place) as plain:
            plain.sendall(_encoded(["PING"]))
            return plain.recv(1) in (b"+", b"-")
    except (OSError, _StepError):
        return False


def _conversation(connection: socket.socket, settings: ConnectionSettings) -> bytes:
    """The replies to AUTH, if there are credentials, PING, SELECT, ROLE and HELLO."""
    commands = [["PING"], ["ROLE"], ["HELLO"]]
    if settings.database:
        commands.insert(1, ["SELECT", str(settings.database)])
    if settings.client_name:
        commands.insert(1, ["CLIENT", "SETNAME", settings.client_name])
    if settings.iam is None and (settings.username is not None or settings.password is not None):
        names = [] if settings.username is None else [settings.username]
        commands.insert(0, ["AUTH", *names, settings.password or ANY_PASSWORD])
    connection.settimeout(_SECONDS)
    connection.sendall(b"".join(map(_encoded, commands)))
    received = b""
    try:
        while len(received) < _MAX_BYTES and _MODE.search(received) is None:
            chunk = connection.recv(_MAX_BYTES)
            if not chunk:
                break
            received += chunk
            connection.settimeout(_MORE_SECONDS)
    except TimeoutError:
        if not received:
            raise
    return received


def _judged(replies: bytes, settings: ConnectionSettings, place: Address | str) -> _Server:
    """Read the replies.

    Raises:
        _StepError: one of them is an error.
    """
    subject = str(place)
    lines = replies.split(b"\r\n")
    errors = [line[1:].decode(errors="replace") for line in lines if line.startswith(b"-")]
    for text in errors:
        if settings.iam is not None and text.startswith("NOAUTH"):
            continue  # the client sends a token that this check does not have
        if (finding := _refusal(text, settings, subject)) is not None:
            raise _StepError(finding)
    if settings.iam is None and not any(line.startswith((b"+", b"-")) for line in lines[:2]):
        if settings.tls is not None and settings.tls.certificate is None:
            what = "the server ended the connection after the TLS handshake, as one does that requires a client certificate"
            cure = "pass tls_certificate and tls_key"
            raise _StepError(error("tls.client_certificate", subject, what, cure))
        what = "what listens there does not answer like a Valkey server"
        cure = "check the port: another program may listen there, or the server ends connections at once"
        raise _StepError(error("server.not_valkey", subject, what, cure))
    mode, role = _MODE.search(replies), _ROLE.search(replies)
    primary = _PRIMARY_OF.search(replies)
    return _Server(
        place=subject,
        mode=mode[1].decode() if mode else "",
        replica=primary is not None or (role is not None and role[1] == b"replica"),
        primary=f"{primary[1].decode()}:{primary[2].decode()}" if primary else "",
        link=primary[3].decode() if primary else "",
    )


_REFUSALS: dict[str, tuple[str, str, str]] = {
    "NOAUTH": (
        "auth.required",
        "the server requires a password, and the URL has none",
        "add user and password: valkey://user:password@host, or :password@ for the default user",
    ),
    "DENIED": (
        "server.protected_mode",
        "the server is in protected mode: it has no password and accepts connections from its own host only",
        "set a password (`requirepass` or an ACL user) and `bind` on the server",
    ),
    "LOADING": (
        "server.loading",
        "the server is loading its data",
        "wait until it has loaded; `INFO persistence` shows the progress",
    ),
    "MASTERDOWN": (
        "server.primary_down",
        "this replica has lost its primary and refuses stale reads",
        "connect to the primary, and restore the replication link",
    ),
}
"""Error code of the server -> code, problem and cure of the finding."""


def _refusal(text: str, settings: ConnectionSettings, subject: str) -> Finding | None:
    """The finding for an error of the server; None for one that is no obstacle."""
    user = settings.username or "default"
    code, _, _rest = text.partition(" ")
    match code:
        case "WRONGPASS":
            what = f"the server refuses the password of user {user!r}, or has no such user, or it is disabled"
            cure = "correct user and password (percent-encode special characters), or `ACL SETUSER` the user on the server"
            return error("auth.wrong_password", subject, what, cure)
        case _ if code in _REFUSALS:
            finding, what, cure = _REFUSALS[code]
            return error(finding, subject, what, cure)
        case "NOPERM" if "'select'" in text:
            what = f"user {user!r} may not run SELECT, which database {settings.database} needs"
            return error(
                "acl.select", subject, what, f"ACL SETUSER {user} +select, or use database 0"
            )
        case "NOPERM" if "'client|setname'" in text:
            what = f"user {user!r} may not run CLIENT SETNAME, which client_name needs"
            cure = f"ACL SETUSER {user} +client|setname, or remove client_name"
            return error("acl.client_name", subject, what, cure)
        case _ if "without any password configured" in text:
            what = "the URL has a password, and the default user of the server has none"
            cure = "remove the password from the URL, name an ACL user, or set `requirepass` on the server"
            return error("auth.not_configured", subject, what, cure)
        case _ if "max number of clients" in text:
            what = "the server has as many clients as `maxclients` allows"
            cure = "share one connection in each process, end unused clients, or raise `maxclients`"
            return error("server.max_clients", subject, what, cure)
        case _ if "DB index is out of range" in text or "SELECT is not allowed" in text:
            what = f"the server has no database {settings.database}"
            cure = "use a database that exists (`databases` in the server's configuration); a cluster may have only 0"
            return error("server.no_database", subject, what, cure)
        case _:
            return None


def _mode_findings(settings: ConnectionSettings, mode: str) -> list[Finding]:
    """Compare the mode of the server with that of the settings."""
    subject = settings.location
    if mode == "sentinel":
        what = "this is a Sentinel, which stores no data"
        cure = "connect to the primary that it watches: `SENTINEL get-master-addr-by-name`"
        return [error("server.sentinel", subject, what, cure)]
    if settings.cluster is True and mode == "standalone":
        what = "the URL says cluster=true, and the server is a single node"
        cure = "remove cluster=true: the library detects clusters by itself"
        return [error("cluster.not_a_cluster", subject, what, cure)]
    if settings.cluster is False and mode == "cluster":
        what = "the URL says cluster=false, and the server is a node of a cluster: keys of other nodes are not found"
        cure = "remove cluster=false: the library detects clusters by itself"
        return [error("cluster.is_a_cluster", subject, what, cure)]
    if mode == "cluster" and settings.unix_socket is not None:
        what = "a node of a cluster is reached through a unix socket: keys of other nodes are not found"
        cure = "connect over TCP"
        return [warning("cluster.unix_socket", subject, what, cure)]
    return []


def _replica_findings(server: _Server) -> list[Finding]:
    """Findings for a server that is a replica, where no address leads to a primary."""
    of = f" of {server.primary}" if server.primary else ""
    what = f"this is a replica{of}: it refuses writes, and the client connects to primaries only"
    cure = f"connect to the primary {server.primary}".rstrip()
    findings = [error("server.replica", server.place, what, cure)]
    if server.link not in ("", "connected"):
        what = f"the replica has no link to its primary {server.primary} (state: {server.link})"
        cure = "start the primary, restore the network between them, and check `primaryuser` and `primaryauth`"
        findings.append(error("server.replica_link_down", server.place, what, cure))
    return findings


def _lesser(finding: Finding) -> Finding:
    """The same finding as a warning, with a code of its own."""
    lesser = warning(finding.code, finding.subject, finding.what, finding.cure)
    return replace(lesser, what=f"{finding.what}; another address of the URL works")


def _encoded(command: Sequence[str]) -> bytes:
    parts = [part.encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def _reason(failed: OSError) -> str:
    return failed.strerror or getattr(failed, "reason", "") or str(failed) or type(failed).__name__
