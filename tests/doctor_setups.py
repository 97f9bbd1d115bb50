"""Set-ups for tests of the doctor: settings that break a server, an index or the way to it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from servers import free_port, send, server_binary
from valkey_vector import Connection, Index, Record
from valkey_vector.operations import DoctorReport

DIMENSION = 4


def fill(index: Index, number: int = 20) -> Index:
    """Write records into an index."""
    vectors = np.random.default_rng(1).normal(size=(number, DIMENSION))
    index.upsert(
        [
            Record(id=f"d{n}", vector=vector, content=f"text {n}", metadata={"n": n})
            for n, vector in enumerate(vectors.tolist())
        ]
    )
    return index


@contextlib.contextmanager
def filled(url: str, name: str = "articles", **settings: object) -> Iterator[Index]:
    """An index of twenty records on a server."""
    with Connection.open(url) as connection:
        options = {"dimension": DIMENSION, **settings}
        yield fill(Index.open(name, connection=connection, **options))  # type: ignore[arg-type]


@contextlib.contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """A port where something listens that is no Valkey server: it sends an answer, or nothing."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def serve() -> None:
        held: list[socket.socket] = []
        while not ended.is_set():
            with contextlib.suppress(OSError):
                connection = listener.accept()[0]
                if answer is None:
                    held.append(connection)
                    continue
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)
        for each in held:
            each.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        thread.join()
        listener.close()


@contextlib.contextmanager
def sentinel() -> Iterator[str]:
    """The URL of a Sentinel."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="valkey-sentinel-") as directory:
        configuration = Path(directory) / "sentinel.conf"
        configuration.write_text(f"port {port}\nbind 127.0.0.1\ndir {directory}\n")
        process = subprocess.Popen(
            [str(server_binary()), str(configuration), "--sentinel"], stdout=subprocess.DEVNULL
        )
        try:
            until(lambda: send("127.0.0.1", port, "PING") == b"PONG")
            yield f"valkey://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until a condition holds; an address that refuses connections counts as not yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, EOFError):
            if condition():
                return
        time.sleep(0.02)
    raise AssertionError("the condition does not come to hold")


def codes(report: DoctorReport) -> list[str]:
    """The codes of all findings."""
    return [finding.code for finding in report.findings]


def found(report: DoctorReport, code: str, severity: str = "error") -> str:
    """The text of a finding, which must be there with this severity, and have a cure."""
    finding = next((each for each in report.findings if each.code == code), None)
    assert finding is not None, f"{code} is not among {codes(report)}"
    assert finding.severity == severity
    assert finding.cure
    return f"{finding.subject}: {finding.what} {finding.cure}"
