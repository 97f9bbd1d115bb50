"""Wait for a supervisor to report that its server is ready."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from valkey_vector.embedded.leases import Lease, description, process, readable
from valkey_vector.errors import RequestTimeoutError, ServerError

__all__ = ["EndedError", "await_ready"]


class EndedError(Exception):
    """The supervisor ended before the server was ready. The message is other output of the supervisor."""


def await_ready(
    directory: str | None, descriptor: int, deadline: float, held_by: str = ""
) -> Lease:
    """Wait until the server is ready, and return the lease. An error closes the descriptor.

    Raises:
        EndedError: the supervisor ended before the server was ready.
        ServerError: the server did not start.
        RequestTimeoutError: the server was not ready by the deadline.
    """
    try:
        report, text = _read_reports(descriptor, deadline)
        path = _ready_socket(directory, report, text, held_by)
        return Lease(descriptor, path, _process_descriptor(report["server"]))
    except BaseException:
        process.close_unfinished(descriptor)
        raise


def _process_descriptor(server: int) -> int | None:
    """Open a descriptor that becomes readable when the server's process ends; None if the system has none."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(server)
    except ProcessLookupError:
        raise EndedError("") from None
    except OSError:  # an old kernel, or one that forbids it
        return None


def _ready_socket(
    directory: str | None, report: Mapping[str, Any], text: str, held_by: str = ""
) -> str:
    """Return the path of the server's socket, if the last report says that the server is ready."""
    match report.get("state"):
        case "ready":
            return str(report["socket"])
        case "failed":
            raise ServerError(f"{description(directory)} did not start: {report['reason']}")
        case "ended":
            raise EndedError(text)
        case "loading":
            state = "is still loading its data; increase start_timeout"
        case _:
            state = "was not ready in time"
    held = f" (held by {held_by})" if held_by else ""
    raise RequestTimeoutError(f"{description(directory)} {state}{held}")


def _read_reports(descriptor: int, deadline: float) -> tuple[Mapping[str, Any], str]:
    """Return the last report before the deadline ("ended" if the supervisor has ended), and any other text."""
    report: dict[str, Any] = {}
    received = b""
    text: list[str] = []
    while report.get("state") not in ("ready", "failed"):
        if not readable([descriptor], max(0.0, deadline - time.monotonic())):
            break
        try:
            chunk = os.read(descriptor, 65_536)
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            report["state"] = "ended"
            break
        *lines, received = (received + chunk).split(b"\n")
        for line in lines:
            try:
                report = json.loads(line)
            except ValueError:  # output of the interpreter, if it could not run the supervisor
                text.append(line.decode(errors="replace"))
    return report, "\n".join([*text, received.decode(errors="replace")]).strip()
