"""Tests that break a cluster of Valkey-Search: three primaries with a replica each.

They run only if ``VALKEY_SEARCH_CLUSTER_URL`` names the cluster and ``VALKEY_VECTOR_BREAK_CLUSTER=1`` says that no one else
uses it: they flush nodes, let replicas take over, move slots and end a process. All but the last leave the cluster as it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cluster_topology import Topology

URL = "VALKEY_SEARCH_CLUSTER_URL"

collect_ignore_glob = (
    []
    if os.environ.get(URL) and os.environ.get("VALKEY_VECTOR_BREAK_CLUSTER") == "1"
    else ["test_*"]
)


@pytest.fixture
def topology() -> Iterator[Topology]:
    """The cluster, with three primaries at the beginning; a replica of each unless a process ended before."""
    found = Topology(os.environ[URL])
    assert len(found.primaries) == 3
    found.settle()
    yield found
    found.settle()
