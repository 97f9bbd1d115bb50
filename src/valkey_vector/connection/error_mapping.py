"""Conversion of GLIDE's errors into the errors of this library, with the server's message and without secrets.

GLIDE rewrites the server's messages: ``-ERR x`` becomes ``An error was signalled by the server: -
ResponseError: x``, ``-WRONGTYPE x`` becomes ``WRONGTYPE: x``, ``-NOPERM x`` becomes ``… - PermissionDenied:
x``. This module restores the original (``WRONGTYPE x``, ``NOPERM x``, without a plain ``ERR``), so
that callers can rely on the server's documented messages. Only the first word decides the class of
the error: the rest can quote a user's data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from glide_shared import exceptions as glide

from valkey_vector.connection.refusal_details import explained
from valkey_vector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)

HIDDEN = "***"

_SIGNALLED = re.compile(r"An error was signalled by the server: ?- ?(\w+): ?(.*)", re.DOTALL)
_TWICE = "An error was signalled by the server: "
_REDIRECTION = "; ExtensionError"  # follows the address in MOVED and ASK
_CODED = re.compile(r"(\S+): (.*)", re.DOTALL)
_CODES: Mapping[str, str] = {
    "Ask": "ASK",
    "AskError": "ASK",
    "BusyLoadingError": "LOADING",
    "ClusterDown": "CLUSTERDOWN",
    "CrossSlot": "CROSSSLOT",
    "ExecAbortError": "EXECABORT",
    "MasterDown": "MASTERDOWN",
    "Moved": "MOVED",
    "NoScriptError": "NOSCRIPT",
    "NotBusy": "NOTBUSY",
    "PermissionDenied": "NOPERM",
    "ReadOnly": "READONLY",
    "TryAgain": "TRYAGAIN",
}
_REFUSED_CODES = frozenset({"NOAUTH", "NOPERM", "WRONGPASS"})
# The server is running but cannot serve requests yet: the same as an outage for the caller.
_DOWN_CODES = frozenset({"LOADING", "CLUSTERDOWN", "MASTERDOWN"})
_LOST = re.compile(
    r"BrokenPipe|Connection in recovery|IoError|FatalSendError|FatalReceiveError|connection error|"
    r"ConnectionNotFound|AllConnectionsUnavailable|[Cc]onnection refused|connect failed"
)
_REFUSED = re.compile(
    r"AuthenticationFailed|PermissionDenied|\b(?:NOAUTH|NOPERM|WRONGPASS)\b|WRONGPASS"
)
# GLIDE's own errors of a lost connection, which look like a server's error with a code.
_GLIDE_KINDS = ("BrokenPipe:", "ConnectionNotFoundForRoute:", "AllConnectionsUnavailable:")
_REFUSED_IN_SCRIPT = "ACL failure in script"
_BAD_DATABASE = "refused to switch database"
_NO_DATABASE = "the server refused the database number of the connection"


def translated(
    error: glide.GlideError,
    command: str = "",
    secrets: Iterable[str] = (),
    sent: Sequence[str | bytes] = (),
) -> ServerError | ConfigurationError:
    """Convert an error of GLIDE into an error of this library.

    Args:
        error: error that GLIDE raised, or returned in place of a reply.
        command: name of the command, without its arguments.
        secrets: strings that must not appear in the message.
        sent: the command with its arguments, to name the key or command that the server rejected.
    """
    text = scrubbed(str(error).strip(), secrets)
    match error:
        case glide.TimeoutError():
            return RequestTimeoutError(text, command)
        case glide.ConnectionError() | glide.CircuitBreakerError():
            return ConnectionLostError(text, command)
        case glide.ClosingError():
            return _not_connected(text, command)
        case glide.ConfigurationError() | glide.LoggerError():
            return ConfigurationError(text)
        case glide.ExecAbortError() | glide.RdmaError():
            return ServerError(text, command)
        case _:
            return _replied(text, command, sent)


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret in a text, plain or percent-encoded, by ``***``."""
    for secret in secrets:
        for form in {secret, quote(secret, safe="")}:
            # Hide a short secret such as "a" only as a whole word: hiding every letter a
            # would both spoil the message and reveal the secret.
            pattern = re.escape(form) if len(form) > 5 else rf"(?<!\w){re.escape(form)}(?!\w)"
            text = re.sub(pattern, HIDDEN, text)
    return text


def _replied(
    text: str, command: str, sent: Sequence[str | bytes] = ()
) -> ServerError | ConfigurationError:
    code, message = _server_words(text)
    refused = code in _REFUSED_CODES or message.startswith(_REFUSED_IN_SCRIPT)
    message = explained(message, sent)
    if refused:
        return AuthenticationError(message, command)
    if code in _DOWN_CODES:
        return ConnectionLostError(message, command)
    if code:
        return ServerError(message, command)
    return _not_connected(text, command) if _LOST.search(text) else ServerError(message, command)


def _server_words(text: str) -> tuple[str, str]:
    """Split a server's error into code and whole message. The code is empty for errors of GLIDE itself."""
    if signalled := _SIGNALLED.fullmatch(text):
        kind, detail = signalled.groups()
        code = _CODES.get(kind, "")
        detail = detail.removeprefix(_TWICE).removesuffix(_REDIRECTION)
        return code or "ERR", f"{code} {detail}" if code else detail
    if text.startswith(_GLIDE_KINDS):
        return "", text
    if coded := _CODED.fullmatch(text):
        return coded[1], f"{coded[1]} {coded[2]}"
    return "", text


def _not_connected(text: str, command: str) -> ServerError | ConfigurationError:
    if _REFUSED.search(text):
        return AuthenticationError(text, command)
    if _BAD_DATABASE in text:
        return ConfigurationError(_NO_DATABASE)
    return ConnectionLostError(text, command)


def is_bad_database(error: Exception) -> bool:
    """Return True if the server rejected the number of the database."""
    return isinstance(error, ConfigurationError) and str(error) == _NO_DATABASE
