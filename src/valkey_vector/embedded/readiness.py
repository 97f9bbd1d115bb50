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
    """The supervisor ended before the server was ready; what else it or its interpreter said."""


def await_ready(
    directory: str | None, descriptor: int, deadline: float, held_by: str = ""
) -> Lease:
    """The lease, once its server is ready; on any error the descriptor is closed."""
    try:
        report, text = _read_reports(descriptor, deadline)
        path = _ready_socket(directory, report, text, held_by)
        return Lease(descriptor, path, _process_descriptor(report["server"]))
    except BaseException:
        process.close_unfinished(descriptor)
        raise


def _process_descriptor(server: int) -> int | None:
    """A descriptor that becomes readable when the server's process ends; None where there is no such thing."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(server)
    except ProcessLookupError:
        raise EndedError("") from None
    except OSError:  # an old kernel, or one that is told not to
        return None


def _ready_socket(
    directory: str | None, report: Mapping[str, Any], text: str, held_by: str = ""
) -> str:
    """Where the server listens, if the last report says that it does."""
    match report.get("state"):
        case "ready":
            return str(report["socket"])
        case "failed":
            raise ServerError(f"{description(directory)} did not start: {report['reason']}")
        case "ended":
            raise EndedError(text)
        case "loading":
            doing = "is still loading its data; allow more with start_timeout"
        case _:
            doing = "was not ready in time"
    held = f" (held by {held_by})" if held_by else ""
    raise RequestTimeoutError(f"{description(directory)} {doing}{held}")


def _read_reports(descriptor: int, deadline: float) -> tuple[Mapping[str, Any], str]:
    """The last report before the deadline ("ended" if the supervisor has), and any other text."""
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
            except ValueError:  # the interpreter's own words, if it could not run the supervisor
                text.append(line.decode(errors="replace"))
    return report, "\n".join([*text, received.decode(errors="replace")]).strip()
