"""Entry point of the console script. Says what to install if the extra `cli` is missing."""

from __future__ import annotations

import sys

from valkey_vector.command_line.exit_codes import ExitCode
from valkey_vector.command_line.extras import is_installed

__all__ = ["main"]

_REQUIRED = ("click", "rich")


def main() -> None:
    """Run `valkey-vector` with the arguments of the process, and exit."""
    missing = [name for name in _REQUIRED if not is_installed(name)]
    if missing:
        sys.stderr.write(
            f"valkey-vector needs {' and '.join(missing)}, which the extra `cli` installs: "
            'pip install "valkey-vector[cli]"\n'
        )
        sys.exit(ExitCode.USAGE)
    try:
        from valkey_vector.command_line.application import run
    except KeyboardInterrupt:  # the imports take a moment
        sys.stderr.write("interrupted\n")
        sys.exit(ExitCode.INTERRUPTED)
    run()
