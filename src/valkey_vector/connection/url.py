"""Parser for connection URLs. Its errors never quote a part of a malformed URL.

::

    valkey://[user[:password]@]host[:port][,host[:port]…][/db][?option=value&…]     TCP
    valkeys://…                                                                     TCP with TLS
    redis://…  rediss://…                                                           TCP, TCP with TLS
    valkey+unix:///path/to.sock[?db=1&…]   redis+unix://…   unix://…                unix socket
    embedded://[?…]                         a private server that ends with the process
    embedded:///absolute/directory[?…]      a private server that keeps its data in the directory

User names, passwords, paths and option values are percent-decoded. The options are listed in
:mod:`valkey_vector.connection.settings`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, unquote_to_bytes

from valkey_vector.errors import ConfigurationError

DEFAULT_HOST = "localhost"
DEFAULT_PORT = 6379

Kind = Literal["tcp", "tls", "unix", "embedded"]

_KINDS: Mapping[str, Kind] = {
    "valkey": "tcp",
    "redis": "tcp",
    "valkeys": "tls",
    "rediss": "tls",
    "valkey+unix": "unix",
    "redis+unix": "unix",
    "unix": "unix",
    "embedded": "embedded",
}
_SCHEMES = "valkey://, valkeys://, redis://, rediss://, valkey+unix://, unix://, embedded://"
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_NUMBER = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NOT_IN_A_HOST = re.compile(r"[\s\x00-\x1f\x7f\[\]@/:%?#,\\]")


@dataclass(frozen=True, slots=True)
class ParsedUrl:
    """The decoded parts of a connection URL."""

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    """The unix socket's path, or the embedded server's directory; empty if the URL has none."""
    database: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_url(url: str) -> ParsedUrl:
    """Parse a connection URL.

    Args:
        url: one of the forms in this module's docstring.

    Raises:
        ConfigurationError: the URL is malformed. The message names the invalid part. It never
            quotes a part that can contain a mistyped password.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"a connection URL must be a string, not {type(url).__name__}")
    scheme, separator, rest = url.strip().partition("://")
    kind = _KINDS.get(scheme.lower()) if separator else None
    if kind is None:
        raise ConfigurationError(f"a connection URL must begin with one of {_SCHEMES}")
    if "#" in rest:
        raise ConfigurationError("a '#' in a connection URL must be written %23")
    address, _, query = rest.partition("?")
    authority, slash, path = address.partition("/")
    if "@" not in authority and ("@" in path or "@" in query):
        # Such an '@' almost always ends a password that contains an unescaped '/' or '?'. Quoting
        # the option or database would print a part of that password.
        raise ConfigurationError(
            "the connection URL has an '@' after a '/' or '?': percent-encode the special "
            "characters of the user name and password ('/' is %2F, '?' is %3F, '@' is %40)"
        )
    credentials, _, hosts = authority.rpartition("@")
    username, password = _credentials(credentials)
    options = _options(query)
    match kind:
        case "tcp" | "tls":
            return ParsedUrl(kind, _hosts(hosts), "", _database(path), username, password, options)
        case "unix" | "embedded":
            if hosts:
                raise ConfigurationError(
                    f"{scheme.lower()}:// takes an absolute path and no host: "
                    f"write {scheme.lower()}:///path"
                )
            path = _decoded(slash + path, "path")
            if kind == "unix" and path in ("", "/"):
                raise ConfigurationError("the connection URL must name the path of a unix socket")
            if kind == "embedded" and path == "/":
                raise ConfigurationError("embedded:/// must name a directory")
            if kind == "embedded" and credentials:
                raise ConfigurationError(
                    "embedded:// takes no user name and no password: remove them"
                )
            return ParsedUrl(kind, (), path, None, username, password, options)


def without_password(url: str) -> str:
    """Remove the password from a URL, before the host and in the options. The user name stays.

    Args:
        url: a connection URL.

    Raises:
        ConfigurationError: the URL is malformed.
    """
    parsed = parse_url(url)
    scheme, _, rest = url.strip().partition("://")
    address, _, query = rest.partition("?")
    authority, slash, path = address.partition("/")
    user = f"{quote(parsed.username, safe='')}@" if parsed.username else ""
    options = [part for part in query.split("&") if part and not part.startswith("password=")]
    location = f"{scheme}://{user}{authority.rpartition('@')[2]}{slash}{path}"
    return f"{location}?{'&'.join(options)}" if options else location


def _credentials(text: str) -> tuple[str | None, str | None]:
    username, _, password = text.partition(":")
    # An empty password means no password: servers reject empty passwords.
    return _decoded(username, "user name") or None, _decoded(password, "password") or None


def _hosts(text: str) -> tuple[tuple[str, int], ...]:
    return tuple(_host(part) for part in text.split(","))


def _host(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        try:
            host = str(ipaddress.IPv6Address(host.replace("%25", "%")))
        except ValueError:
            bracket = ""
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigurationError(
                "an IPv6 address in the connection URL must be like [::1] or [::1]:6379"
            )
        return host, _port(rest[1:]) if rest else DEFAULT_PORT
    host, colon, port = text.partition(":")
    if ":" in port:
        raise ConfigurationError(
            "a host in the connection URL has two colons: write an IPv6 address in brackets "
            "([::1]:6379), and a password before an '@' (:password@host)"
        )
    if _NOT_IN_A_HOST.search(host):
        raise ConfigurationError("a host name in the connection URL has an invalid character")
    return host or DEFAULT_HOST, _port(port) if colon else DEFAULT_PORT


def _port(text: str) -> int:
    if not _NUMBER.fullmatch(text) or not 0 < int(text) < 65536:
        # The text can be a password whose '@host' is missing: do not show it.
        raise ConfigurationError("a port in the connection URL is not a number from 1 to 65535")
    return int(text)


def _database(path: str) -> int | None:
    if path == "":
        return None
    if not _NUMBER.fullmatch(path):
        raise ConfigurationError(
            "the path of the connection URL must be a database number, such as /0"
        )
    return int(path)


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, equals, value = part.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ConfigurationError(
                "the options after '?' in the connection URL must be like name=value&name=value"
            )
        if name in options:
            raise ConfigurationError(f"the connection URL sets the option {name!r} twice")
        options[name] = _decoded(value, f"option {name!r}")
    return options


def _decoded(text: str, what: str) -> str:
    if text.count("%") != len(_ESCAPED.findall(text)):
        raise ConfigurationError(
            f"the {what} in the connection URL has a '%' without two hex digits after it; write it %25"
        )
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeError:
        raise ConfigurationError(f"the {what} in the connection URL is not UTF-8") from None
    if "\0" in decoded:
        raise ConfigurationError(f"the {what} in the connection URL contains a zero byte")
    return decoded
