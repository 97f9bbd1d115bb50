"""The containers of docker-compose.yml: their ports, addresses and options fit together, and a real server accepts them."""

from __future__ import annotations

import random
import re
import socket
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from servers import TestServer, send
from valkey_vector import Index, Record

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COORDINATOR = "loadmodule /usr/lib/valkey/libsearch.so --use-coordinator"


def composed() -> dict[str, Any]:
    """The content of docker-compose.yml, its anchors resolved."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return content


def nodes() -> dict[str, dict[str, Any]]:
    """The nodes of the cluster."""
    services: dict[str, dict[str, Any]] = composed()["services"]
    return {name: each for name, each in services.items() if name.startswith("node-")}


def options() -> list[str]:
    """The options of a node as arguments of the server, without those of the container."""
    lines = (DOCKER / "cluster.conf").read_text("utf-8").splitlines()
    set_there = [line.split() for line in lines if line and not line.startswith("#")]
    inside = {"port", "dir", "loadmodule", "cluster-config-file", "cluster-enabled"}
    return [
        argument
        for name, *values in set_there
        if name not in inside
        for argument in (f"--{name}", *values)
    ]


def test_every_file_that_a_container_mounts_is_there() -> None:
    content = composed()
    for name, service in content["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).is_file(), (name, source)
            else:
                assert source in content["volumes"], (name, source)


def test_every_service_but_one_waits_for_its_profile() -> None:
    services = composed()["services"]
    assert [name for name, each in services.items() if "profiles" not in each] == ["valkey"]
    for name, service in services.items():
        for needed in service.get("depends_on", []):
            profiles = services[needed].get("profiles", service.get("profiles"))
            assert profiles == service.get("profiles"), (name, needed)
            conditions = service["depends_on"]
            if isinstance(conditions, dict) and "healthy" in conditions[needed]["condition"]:
                assert "healthcheck" in services[needed], needed


def test_ports_are_published_to_this_machine_alone_and_do_not_collide() -> None:
    published = [
        port.split(":")
        for each in composed()["services"].values()
        for port in each.get("ports", [])
    ]
    assert all(host == "127.0.0.1" for host, _, _ in published)
    outside = [port for _, port, _ in published]
    assert len(set(outside)) == len(outside) >= 4


def test_each_node_announces_its_own_address_and_the_creator_knows_them_all() -> None:
    services = nodes()
    addresses = {
        name: each["networks"]["cluster"]["ipv4_address"] for name, each in services.items()
    }
    assert len(set(addresses.values())) == len(services) == 6
    for name, service in services.items():
        assert service["command"] == ["--cluster-announce-ip", addresses[name]]
        assert service["entrypoint"] == ["valkey-server", "/etc/valkey/cluster.conf"]
        assert f"{name}:/data" in service["volumes"]
    [subnet] = composed()["networks"]["cluster"]["ipam"]["config"]
    assert {address.rpartition(".")[0] for address in addresses.values()} == {
        subnet["subnet"].rpartition(".")[0]
    }
    creator = composed()["services"]["create-cluster"]
    assert creator["command"] == [f"{address}:6379" for address in addresses.values()]
    assert set(creator["depends_on"]) == set(services)


def test_a_node_loads_the_search_module_with_its_coordinator_and_announces_nothing_else() -> None:
    lines = (DOCKER / "cluster.conf").read_text("utf-8").splitlines()
    assert COORDINATOR in lines
    assert "port 6379" in lines
    assert not [line for line in lines if line.startswith("cluster-announce")]


def test_the_images_are_pinned() -> None:
    images = {each["image"] for each in composed()["services"].values()}
    assert [image for image in images if not re.search(r":v?\d+\.\d+", image)] == []


def command_line(folder: Path) -> None:
    """Put a `valkey-cli` into a folder that knows what the script uses, since no package for the tests has one."""
    program = folder / "valkey-cli"
    tests = ROOT / "tests"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"sys.path.insert(0, {str(tests)!r})\n"
        "from servers import send\n"
        "_, _, host, _, port = sys.argv[1:6]\n"
        "assert [sys.argv[1], sys.argv[2], sys.argv[4]] == ['-e', '-h', '-p']\n"
        "reply = send(host, int(port), *sys.argv[6:])\n"
        "sys.stdout.buffer.write(reply if isinstance(reply, bytes) else str(reply).encode())\n"
        "print()\n",
        encoding="utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


class BareNode(TestServer):
    """A node of a cluster that serves no slots yet. Its bus has the usual port, its own + 10000, which MEET expects."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__(modules=[], cluster=True, extra=[*options(), "--cluster-port", "0"])
        self.port = next(
            port for port in range(random.randrange(12_000, 30_000), 32_000) if free(port)
        )

    def _claim_all_slots(self) -> None:
        pass

    def _cluster_is_ok(self) -> bool:
        return True


def free(port: int) -> bool:
    """True if a node can have this port and that of its bus."""
    for each in (port, port + 10_000):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if tried.connect_ex(("127.0.0.1", each)) == 0:
                return False
            try:
                tried.bind(("127.0.0.1", each))
            except OSError:
                return False
    return True


def test_the_script_makes_a_usable_cluster_of_nodes_with_these_options_once(tmp_path: Path) -> None:
    command_line(tmp_path)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    with ExitStack() as stack:
        servers = [stack.enter_context(BareNode()) for _ in range(6)]

        def script() -> subprocess.CompletedProcess[str]:
            addresses = [f"{server.host}:{server.port}" for server in servers]
            return subprocess.run(
                ["/bin/sh", str(DOCKER / "create-cluster.sh"), *addresses],
                env=environment,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )

        first = script()
        assert first.returncode == 0, first.stderr
        assert "the cluster is usable" in first.stdout
        described = send(servers[0].host, servers[0].port, "CLUSTER", "NODES")
        assert isinstance(described, bytes)
        assert described.count(b"slave ") == 3
        again = script()
        assert again.returncode == 0, again.stderr
        assert "the cluster exists" in again.stdout
        url = f"valkey://{servers[0].host}:{servers[0].port}"
        with Index.open("{tenant}articles", url=url, dimension=2) as articles:
            articles.upsert([Record(id="1", vector=[1.0, 0.0])])
            assert [hit.record.id for hit in articles.search([1.0, 0.0], k=1)] == ["1"]
