"""Entry point of the console script. Says what to install if the extra `cli` is missing."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from valkey_vector.command_line.exit_codes import ExitCode

__all__ = ["main"]

_REQUIRED = ("click", "rich")


def main() -> None:
    """Run `valkey-vector` with the arguments of the process, and exit."""
    missing = [name for name in _REQUIRED if not _is_installed(name)]
    if missing:
        sys.stderr.write(
            f"valkey-vector needs {' and '.join(missing)}, which the extra `cli` installs: "
            'pip install "valkey-vector[cli]"\n'
        )
        sys.exit(ExitCode.USAGE)
    from valkey_vector.command_line.application import run

    run()


def _is_installed(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    return find_spec(name) is not None
