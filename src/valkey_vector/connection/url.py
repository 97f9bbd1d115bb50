"""The syntax of connection URLs: text in, parts out, and no part of a bad URL in an error.

::

    valkey://[user[:password]@]host[:port][,host[:port]…][/db][?option=value&…]     TCP
    valkeys://…                                                                     TCP with TLS
    redis://…  rediss://…                                                           the same two
    valkey+unix:///path/to.sock[?db=1&…]   redis+unix://…   unix://…                unix socket
    embedded://[?…]                         a private server that ends with the process
    embedded:///absolute/directory[?…]      a private server whose data stays in the directory

User names, passwords, paths and option values are percent-decoded. What the options mean is the
business of :mod:`valkey_vector.connection.settings`.
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
    """The unix socket's path, or the embedded server's directory; empty when there is none."""
    database: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_url(url: str) -> ParsedUrl:
    """Take a connection URL apart.

    Args:
        url: any of the forms in this module's docstring.

    Raises:
        ConfigurationError: it is not such a URL. The message names the part that is wrong, and
            never quotes a part that a mistyped password could have ended up in.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"a connection URL is a string, not {type(url).__name__}")
    scheme, separator, rest = url.strip().partition("://")
    kind = _KINDS.get(scheme.lower()) if separator else None
    if kind is None:
        raise ConfigurationError(f"a connection URL begins with one of {_SCHEMES}")
    if "#" in rest:
        raise ConfigurationError("a '#' in a connection URL must be written %23")
    address, _, query = rest.partition("?")
    authority, slash, path = address.partition("/")
    if "@" not in authority and ("@" in path or "@" in query):
        # Such an '@' almost always ends a password that holds a bare '/' or '?'; naming the
        # option or database it seems to be would print half of that password.
        raise ConfigurationError(
            "an '@' stands after a '/' or '?' in the connection URL: percent-encode the special "
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
                raise ConfigurationError("the connection URL names no unix socket")
            if kind == "embedded" and path == "/":
                raise ConfigurationError("embedded:/// must name a directory")
            if kind == "embedded" and credentials:
                raise ConfigurationError("embedded:// takes no user name and no password")
            return ParsedUrl(kind, (), path, None, username, password, options)


def without_password(url: str) -> str:
    """The same URL without its password, wherever in it that stands; the user's name stays.

    Args:
        url: a connection URL.

    Raises:
        ConfigurationError: it is not such a URL.
    """
    parsed = parse_url(url)
    scheme, _, rest = url.strip().partition("://")
    address, _, query = rest.partition("?")
    authority, slash, path = address.partition("/")
    user = f"{quote(parsed.username, safe='')}@" if parsed.username else ""
    options = [part for part in query.split("&") if part and not part.startswith("password=")]
    place = f"{scheme}://{user}{authority.rpartition('@')[2]}{slash}{path}"
    return f"{place}?{'&'.join(options)}" if options else place


def _credentials(text: str) -> tuple[str | None, str | None]:
    username, _, password = text.partition(":")
    # An empty password is no password: servers refuse to have one.
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
            "a host in the connection URL has two colons: an IPv6 address stands in brackets "
            "([::1]:6379), a password before an '@' (:password@host)"
        )
    if _NOT_IN_A_HOST.search(host):
        raise ConfigurationError("a host name in the connection URL has a character it cannot have")
    return host or DEFAULT_HOST, _port(port) if colon else DEFAULT_PORT


def _port(text: str) -> int:
    if not _NUMBER.fullmatch(text) or not 0 < int(text) < 65536:
        # What stands there may be a password whose '@host' was forgotten: do not show it.
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
            raise ConfigurationError(f"the connection URL gives the option {name!r} twice")
        options[name] = _decoded(value, f"option {name!r}")
    return options


def _decoded(text: str, what: str) -> str:
    if text.count("%") != len(_ESCAPED.findall(text)):
        raise ConfigurationError(
            f"the {what} in the connection URL has a '%' that begins no escape; write it %25"
        )
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeError:
        raise ConfigurationError(f"the {what} in the connection URL is not UTF-8") from None
    if "\0" in decoded:
        raise ConfigurationError(f"the {what} in the connection URL holds a zero byte")
    return decoded
