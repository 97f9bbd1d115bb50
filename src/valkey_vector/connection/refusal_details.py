"""Details for error messages of the server: the rejected key or command.

The server's message "No permissions to access a key" does not name the key. "Unknown command called from script" has a
line number instead of the command. The sent command contains both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["explained", "withholds_info"]

_SHOWN = 3

_NO_KEY = "No permissions to access a key"
_SCRIPTS = ("EVAL", "EVALSHA")
_IN_SCRIPT = re.compile(r"Unknown .*command called from script.*@user_script:(\d+)", re.DOTALL)
_CALLED = re.compile(r"\(\s*'([A-Za-z.]+)'")
_WITHHELD_INFO = re.compile(r"'info'|unknown command ['`]?info\b", re.IGNORECASE)


def explained(message: str, sent: Sequence[str | bytes]) -> str:
    """Add the rejected keys or the unknown command to a server's message.

    Args:
        message: message of the server.
        sent: the command with its arguments; empty if unknown.
    """
    if not sent:
        return message
    if _NO_KEY in message:
        return f"{message}: {_named(_keys(sent))}. Grant the user the key patterns of the index"
    unknown = _IN_SCRIPT.search(message)
    command = _called(sent, int(unknown[1])) if unknown else None
    if command is not None:
        return f"the server does not know the command {command}, which a script calls ({message})"
    return message


def withholds_info(message: str) -> bool:
    """Return True if connecting failed because INFO is unknown to the server, or the user has no permission for it."""
    return _WITHHELD_INFO.search(message) is not None


def _keys(sent: Sequence[str | bytes]) -> Sequence[str | bytes]:
    if _text(sent[0]).upper() in _SCRIPTS:
        return sent[3 : 3 + int(sent[2])]
    return sent[1:2]


def _named(keys: Sequence[str | bytes]) -> str:
    shown = ", ".join(repr(_text(key)) for key in keys[:_SHOWN])
    return shown if len(keys) <= _SHOWN else f"{shown} or one of {len(keys) - _SHOWN} more"


def _called(sent: Sequence[str | bytes], number: int) -> str | None:
    """Command that a line of a script calls; None if the script is unknown or the line names no command."""
    if _text(sent[0]).upper() != "EVAL":
        return None
    lines = _text(sent[1]).splitlines()
    found = _CALLED.search(lines[number - 1]) if 0 < number <= len(lines) else None
    return found[1].upper() if found else None


def _text(argument: str | bytes) -> str:
    return argument if isinstance(argument, str) else argument.decode(errors="replace")
