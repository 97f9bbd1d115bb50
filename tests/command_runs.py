"""Runs the command `valkey-vector` as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def run_command(
    *arguments: str, url: str | None = None, stdin: str = "", seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """The command that has ended; the server's URL is passed in the environment."""
    environment = {name: value for name, value in os.environ.items() if name != "VALKEY_URL"}
    if url is not None:
        environment["VALKEY_URL"] = url
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "valkey_vector.command_line", *arguments],
        input=stdin,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


_INTERRUPTIBLE = (
    "import runpy, signal\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs ignore it
    "runpy.run_module('valkey_vector.command_line', run_name='__main__')\n"
)


def start_command(*arguments: str, url: str) -> subprocess.Popen[str]:
    """The command as a process that runs, and that SIGINT interrupts."""
    return subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTIBLE, *arguments],
        env={**os.environ, "VALKEY_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def json_of(*arguments: str, url: str, code: int = 0) -> Any:
    """Return the output of a verb with ``--json``; the exit code must be `code`."""
    ended = run_command(*arguments, "--json", url=url)
    assert ended.returncode == code, ended.stderr + ended.stdout
    return json.loads(ended.stdout)
