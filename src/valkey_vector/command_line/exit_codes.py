"""Exit codes of the command, which scripts rely on."""

from __future__ import annotations

from enum import IntEnum

from valkey_vector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    IndexNotFoundError,
    InvalidInputError,
    RequestTimeoutError,
    ValkeyVectorError,
)

__all__ = ["ExitCode", "exit_code"]


class ExitCode(IntEnum):
    """Exit codes. `docs/operations.md` lists them."""

    OK = 0
    PROBLEMS = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    NOT_FOUND = 5
    FAILED = 6
    INTERRUPTED = 130


def exit_code(error: ValkeyVectorError) -> ExitCode:
    """Return the exit code of an error."""
    match error:
        case ConnectionLostError() | RequestTimeoutError():
            return ExitCode.UNREACHABLE
        case AuthenticationError():
            return ExitCode.REFUSED
        case IndexNotFoundError():
            return ExitCode.NOT_FOUND
        case ConfigurationError() | InvalidInputError():
            return ExitCode.USAGE
        case _:
            return ExitCode.FAILED
