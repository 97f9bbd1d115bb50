"""The embedded server ends with its users, in any way they end, and retains persistent data."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from valkey_vector import embedded

SOURCES = str(Path(embedded.__file__).parents[2])
SECONDS = 20.0

# A user of the library: opens, tells the socket, and goes on when told to.
OPEN = """
import os, signal, socket, subprocess, sys, threading, time
from valkey_vector.embedded import EmbeddedServer

def tell(text):
    print(text, flush=True)

def ask(server):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(server.socket_path)
        connection.sendall(b"PING\\r\\n")
        return connection.recv(100).decode().strip()

directory = sys.argv[1] if len(sys.argv) > 1 else None
server = EmbeddedServer.open(directory)
tell(server.socket_path)
"""
WAIT = "sys.stdin.readline()\n"


class User:
    """A process that runs a program against the library; killed with the block if still there."""

    def __init__(self, program: str, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-c", program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SOURCES, "TMPDIR": tempfile.gettempdir()},
            start_new_session=True,
        )

    def told(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def finish(self, text: str = "\n") -> tuple[str, str]:
        """Let it go on to its end: what it printed, to both streams."""
        return self.process.communicate(text, timeout=SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()


def ask(path: str, *command: str) -> str:
    """One command over the server's socket; the text of a simple, integer or bulk reply."""
    request = f"*{len(command)}\r\n" + "".join(f"${len(c.encode())}\r\n{c}\r\n" for c in command)
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as replies:
        connection.settimeout(SECONDS)
        connection.connect(path)
        connection.sendall(request.encode())
        line = replies.readline().decode().strip()
        return replies.read(int(line[1:])).decode() if line.startswith("$") else line[1:]


def server_pid(path: str) -> int:
    return int(ask(path, "INFO", "server").split("process_id:")[1].split()[0])


def process_state(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on (state, parent, …); none if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def supervisor_pid(path: str) -> int:
    return int(process_state(server_pid(path))[1])


def gone(*pids: int) -> bool:
    # A zombie has ended; whether the machine's first process collects it is not ours to decide.
    return all((process_state(pid) or ["Z"])[0] in "ZX" for pid in pids)


def eventually(condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def running_in(base: Path) -> list[str]:
    """The command lines of servers and supervisors whose sockets are under the base."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(base) in line and ("valkey-server" in line or "supervisor" in line):
            found.append(line)
    return found


@pytest.fixture(name="base", autouse=True)
def private_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory for sockets in this test. Afterwards nothing of it may be running or left."""
    path = Path(tempfile.mkdtemp(prefix="vv-", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    try:
        yield path
        assert eventually(lambda: not running_in(path)), running_in(path)
        assert list(path.glob("valkey-vector-*")) == []
    finally:
        shutil.rmtree(path)


@pytest.fixture(name="directory")
def missing_directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


def supervisor_of(directory: Path) -> int:
    return int(json.loads((directory / "server.json").read_text())["supervisor"])


# -- a temporary server ends with its process ------------------------------------------------------


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param("", id="normal-exit"),
        pytest.param("server.close()", id="close-and-exit"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", id="kill-9"),
        pytest.param("os._exit(3)", id="immediate-exit"),
        pytest.param("os.abort()", id="abort"),
        pytest.param("threading.Thread(target=sys.exit).start()", id="sys-exit-in-a-thread"),
        pytest.param("raise RuntimeError('unhandled')", id="unhandled-exception"),
    ],
)
def test_temporary_server_is_removed_afterwards(ending: str) -> None:
    with User(OPEN + WAIT + ending) as user:
        path = user.told()
        pids = server_pid(path), supervisor_pid(path)
        user.finish()
        assert eventually(lambda: gone(*pids))
        assert eventually(lambda: not Path(path).parent.exists())


@pytest.mark.parametrize("persistent", [False, True])
def test_nothing_is_printed(persistent: bool, directory: Path) -> None:
    with User(OPEN + WAIT, *([directory] if persistent else [])) as user:
        user.told()
        assert user.finish() == ("", "")
        assert user.process.returncode == 0


def test_interrupt_from_the_terminal_leaves_the_server_to_the_program() -> None:
    program = OPEN + (
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs ignore it
        "try:\n"
        "    tell('waiting')\n"
        "    while True:\n"
        "        time.sleep(0.05)\n"
        "except KeyboardInterrupt:\n"
        "    tell(ask(server))\n"
    )
    with User(program) as user:
        user.told()
        assert user.told() == "waiting"
        os.killpg(user.process.pid, signal.SIGINT)
        assert user.told() == "+PONG"


def test_threads_that_open_at_once_share_one_temporary_server() -> None:
    program = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from valkey_vector.embedded import EmbeddedServer\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    servers = list(pool.map(lambda _: EmbeddedServer.open(), range(8)))\n"
        "print(len({server.socket_path for server in servers}))\n"
    )
    with User(program) as user:
        assert user.finish()[0].split() == ["1"]


def test_closed_temporary_server_serves_the_next_opener_of_the_process() -> None:
    program = OPEN + "server.close()\nserver.close()\ntell(EmbeddedServer.open().socket_path)\n"
    with User(program) as user:
        assert user.told() == user.told() != ""


def test_forked_child_uses_the_server_of_its_parent_and_leaves_it_running() -> None:
    program = OPEN + (
        "if not os.fork():\n"
        "    child = EmbeddedServer.open()\n"
        "    tell(child.socket_path + ask(child))\n"
        "    child.close(); server.close(); sys.exit()\n"
        "os.wait()\n"
        "tell(ask(server))\n"
    )
    with User(program) as user:
        path = user.told()
        assert user.told() == f"{path}+PONG"
        assert user.told() == "+PONG"


def test_forked_child_keeps_the_server_after_its_parent() -> None:
    program = OPEN + "if os.fork():\n    os._exit(0)\n" + WAIT + "tell(ask(server))\n"
    with User(program) as user:
        path = user.told()
        pids = server_pid(path), supervisor_pid(path)
        user.process.wait(SECONDS)
        assert user.finish()[0].split() == ["+PONG"]
        assert eventually(lambda: gone(*pids))


def test_spawned_child_gets_a_server_of_its_own() -> None:
    child = OPEN.replace("\\", "\\\\")
    program = OPEN + f"subprocess.run([sys.executable, '-c', '''{child}'''], check=True)\n"
    with User(program) as user:
        first, second = user.told(), user.told()
        assert first != second
        assert Path(second).name == "data.sock"


def test_program_that_waits_for_its_children_never_meets_the_supervisor() -> None:
    program = OPEN + "try:\n    os.wait()\nexcept ChildProcessError:\n    tell('no children')\n"
    with User(program) as user:
        user.told()
        assert user.told() == "no children"


def test_opening_replaces_a_temporary_server_that_was_killed() -> None:
    program = OPEN + WAIT + "tell(server.alive)\ntell(EmbeddedServer.open().socket_path)\n" + WAIT
    with User(program) as user:
        path = user.told()
        supervisor = supervisor_pid(path)
        os.kill(server_pid(path), signal.SIGKILL)
        assert eventually(lambda: gone(supervisor))
        assert user.process.stdin is not None
        user.process.stdin.write("\n")
        user.process.stdin.flush()
        assert user.told() == "False"
        assert ask(user.told(), "PING") == "PONG"


def test_server_ends_when_its_supervisor_is_killed_and_the_next_one_tidies_up(base: Path) -> None:
    with User(OPEN + WAIT) as user:
        path = user.told()
        server = server_pid(path)
        os.kill(supervisor_pid(path), signal.SIGKILL)
        assert eventually(lambda: gone(server))
    assert len(list(base.glob("valkey-vector-*"))) == 1
    with User(OPEN + WAIT) as user:
        user.told()
        assert not Path(path).parent.exists()


def test_server_is_reached_by_a_private_socket_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "hidden")
    with User(OPEN + WAIT) as user:
        path = Path(user.told())
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert "tcp_port:0" in ask(str(path), "INFO", "server")
        memory = ask(str(path), "INFO", "memory")
        assert "maxmemory_policy:noeviction" in memory
        for pid in (server_pid(str(path)), supervisor_pid(str(path))):
            assert b"SOME_API_KEY" not in Path(f"/proc/{pid}/environ").read_bytes()
