"""Join the server that another process runs for a directory, or take the directory's lock."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from valkey_vector.embedded.leases import Lease, description, process
from valkey_vector.embedded.readiness import EndedError, await_ready
from valkey_vector.errors import ConfigurationError

if sys.platform != "win32":
    import fcntl

__all__ = ["ServerRecord", "holder", "join", "take_lock"]

_ORPHAN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """Record that a directory's last supervisor wrote about itself. The supervisor can have ended since.

    Attributes:
        supervisor: process id of the supervisor.
        server: process id of the server.
        socket: path of the server's socket.
        control: path of the supervisor's control socket.
        owner: user id of the record's owner.
    """

    supervisor: int
    server: int
    socket: str
    control: str
    owner: int

    @classmethod
    def read(cls, directory: str) -> ServerRecord | None:
        """Read the record of a directory. Returns None if it is missing or incomplete.

        Raises:
            ConfigurationError: the directory cannot be used.
        """
        try:
            with Path(directory, "server.json").open(encoding="utf-8") as file:
                return cls(**json.load(file), owner=os.fstat(file.fileno()).st_uid)
        except (FileNotFoundError, ValueError, TypeError):
            return None
        except NotADirectoryError:
            raise ConfigurationError(
                f"{description(directory)}: its path is not a directory"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"{description(directory)} cannot be used: {error}") from None


def _connect(path: str, owner: int) -> socket.socket:
    """Connect to a recorded socket.

    Raises:
        OSError: no process listens on the socket.
    """
    # After its creator has ended, another user can have created the same path.
    if Path(path).parent.stat().st_uid != owner:
        raise FileNotFoundError(path)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.setblocking(False)  # a supervisor that hangs must not block this process
        connection.connect(path)
        connection.setblocking(True)
    except OSError:
        connection.close()
        raise
    return connection


def join(directory: str, record: ServerRecord, deadline: float) -> Lease | None:
    """Get a lease from the recorded supervisor. Returns None if the supervisor has ended or is ending."""
    try:
        with process.guard:
            descriptor = _connect(record.control, record.owner).detach()
            process.unfinished.add(descriptor)
        return await_ready(directory, descriptor, deadline, holder(record))
    except PermissionError:
        raise ConfigurationError(
            f"{description(directory)} is in use by another user, in {holder(record)}"
        ) from None
    except (ConnectionRefusedError, FileNotFoundError):
        _end_orphan(record)
        return None
    except (BlockingIOError, ConnectionResetError, EndedError):
        return None


def _end_orphan(record: ServerRecord) -> None:
    """Shut down a server whose supervisor does not listen: the server holds the directory's lock.

    If the supervisor was killed, the kernel ends the server on Linux, but not on other systems. If the
    supervisor is shutting down, it sends the same request. The server flushes its data.
    """
    with (
        contextlib.suppress(OSError),
        _connect(record.socket, record.owner) as connection,
    ):
        connection.settimeout(_ORPHAN_SECONDS)
        connection.sendall(b"SHUTDOWN\r\n")
        connection.recv(256)


def holder(record: ServerRecord | None) -> str:
    """Describe the process that holds the directory, for messages."""
    if record is not None and _running(record.server):
        return f"process {record.server} (supervised by process {record.supervisor})"
    if record is not None and _running(record.supervisor):
        return f"process {record.supervisor}"
    return "another process"


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def take_lock(directory: str) -> int | None:
    """Take the directory's lock.

    Returns:
        The descriptor that holds the lock, or None if another process has the lock.

    Raises:
        ConfigurationError: the directory cannot be used.
    """
    with process.guard:
        try:
            Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(Path(directory, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except FileExistsError:
            raise ConfigurationError(
                f"{description(directory)}: its path is not a directory"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"{description(directory)} cannot be used: {error}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        except OSError as error:
            os.close(lock)
            raise ConfigurationError(
                f"{description(directory)} cannot be locked: {error}"
            ) from None
        process.unfinished.add(lock)
        return lock
