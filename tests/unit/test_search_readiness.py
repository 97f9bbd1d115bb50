"""A primary that lost an index gets it again before the cluster is searched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from valkey_vector.engines.search import readiness
from valkey_vector.engines.search.readiness import await_nodes
from valkey_vector.errors import AuthenticationError, RequestTimeoutError, ServerError
from valkey_vector.schema.schema import Schema
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.rows import StaleIndexError

ENTRY = CatalogEntry("articles", "0123abcd", "search", Schema(dimension=4), None, {})
NODES = ["a:1", "b:1", "c:1"]


class Cluster:
    """Nodes that search; those in `empty` know the index only after another node announced it."""

    settings = SimpleNamespace(request_timeout=1.0)

    def __init__(self, empty: set[str], *, refuses: bool = False) -> None:
        self.empty = empty
        self.refuses = refuses
        self.sent: list[tuple[str, str]] = []

    def execute_on(self, address: str, *args: Any) -> Any:
        command = args[0]
        if command in ("FT.CREATE", "FT.DROPINDEX"):
            self.sent.append((address, command))
            if self.refuses:
                raise AuthenticationError("NOPERM", command)
            self.empty.clear()
            return b"OK"
        if address in self.empty:
            raise ServerError(f"Index with name '{args[1]}' not found in database 0", command)
        return [b"backfill_in_progress", b"0"] if command == "FT.INFO" else [0]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PATIENCE", 0.1)


def test_a_node_without_the_index_gets_it_from_another_node() -> None:
    cluster: Any = Cluster({"b:1"})
    await_nodes(cluster, ENTRY, NODES)
    assert cluster.sent == [("a:1", "FT.CREATE"), ("a:1", "FT.DROPINDEX")]


def test_nothing_is_created_while_all_nodes_know_the_index() -> None:
    cluster: Any = Cluster(set())
    await_nodes(cluster, ENTRY, NODES)
    assert cluster.sent == []


def test_an_index_that_no_node_knows_is_stale() -> None:
    cluster: Any = Cluster(set(NODES))
    with pytest.raises(StaleIndexError):
        await_nodes(cluster, ENTRY, NODES)
    assert cluster.sent == []


def test_without_the_right_to_create_an_index_the_search_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readiness, "renew", lambda *_: None)  # it does nothing without the right
    cluster: Any = Cluster({"a:1"}, refuses=True)
    with pytest.raises(RequestTimeoutError, match="a:1"):
        await_nodes(cluster, ENTRY, NODES)
    assert {address for address, _ in cluster.sent} == {"b:1"}


def test_a_node_that_ignores_announcements_makes_the_index_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that restarted from an old append-only file has the records, and not the index (Valkey-Search 1.2.1)."""
    renewed: list[CatalogEntry] = []

    def renew(_: Any, entry: CatalogEntry) -> None:
        renewed.append(entry)
        raise StaleIndexError

    monkeypatch.setattr(readiness, "renew", renew)
    cluster: Any = Cluster({"c:1"}, refuses=True)
    with pytest.raises(StaleIndexError):
        await_nodes(cluster, ENTRY, NODES)
    assert renewed == [ENTRY]
    assert cluster.sent, "the index is announced first"


def test_a_node_without_the_index_is_named_if_nobody_may_create_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts: list[Any] = []
    monkeypatch.setattr(readiness, "renew", lambda *given: attempts.append(given))
    cluster: Any = Cluster({"c:1"}, refuses=True)
    with pytest.raises(RequestTimeoutError, match="c:1 of the cluster does not have"):
        await_nodes(cluster, ENTRY, NODES)
    assert len(attempts) == 1
