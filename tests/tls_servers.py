"""TLS for tests: certificates of an own authority, and a forwarder that ends TLS in front of a plain server."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    directory: Path

    def path(self, name: str) -> Path:
        return self.directory / name

    def issue(self, name: str, *options: str) -> None:
        """A key and a certificate signed by the CA."""
        self._run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                  "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        self.path(f"{name}.ext").write_text("\n".join(options))
        self._run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                  "-CAcreateserial", "-days", "2", "-out", f"{name}.pem",
                  "-extfile", f"{name}.ext")  # fmt: skip

    def make_authority(self, name: str) -> None:
        self._run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                  "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                  "-addext", "keyUsage=keyCertSign,cRLSign")  # fmt: skip

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)  # noqa: S607


@contextlib.contextmanager
def forwarder(context: ssl.SSLContext, target: tuple[str, int]) -> Iterator[int]:
    """A loopback port that ends TLS and passes what it carries on to the target."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def accept() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                raw = listener.accept()[0]
                threading.Thread(target=serve, args=(raw,), daemon=True).start()

    def serve(raw: socket.socket) -> None:
        raw.settimeout(5)
        # A client that goes away, or whose certificate is refused, is not the forwarder's concern.
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(raw, server_side=True) as outside,
            socket.create_connection(target) as inside,
            selectors.DefaultSelector() as ready,
        ):
            outside.settimeout(None)
            ready.register(outside, selectors.EVENT_READ, inside)
            ready.register(inside, selectors.EVENT_READ, outside)
            while not ended.is_set():
                for key, _ in ready.select(0.05):
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    while isinstance(key.fileobj, ssl.SSLSocket) and key.fileobj.pending():
                        data += key.fileobj.recv(65536)
                    if not data:
                        return
                    key.data.sendall(data)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        thread.join()
        listener.close()
