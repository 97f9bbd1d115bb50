"""Batches that an HNSW index of a cluster would not serve well."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from valkey_vector import Connection, Index, Record


def test_many_equal_vectors_log_a_warning_where_a_cluster_may_hide_others(
    caplog: pytest.LogCaptureFixture, cluster_url: str
) -> None:
    from valkey_vector.index.bulk import BulkWriter
    from valkey_vector.records.record import WritePolicy

    same = np.ones(4, dtype=np.float32)
    with Connection.open(cluster_url) as connection, caplog.at_level("WARNING", "valkey_vector"):
        index = Index.open("equals", dimension=4, connection=connection)
        writer = BulkWriter(
            index._handle,
            policy=WritePolicy.OVERWRITE,
            ttl=None,
            sliding=False,
            batch_size=100,
            progress=False,
        )
        writer._prepared([Record(id=str(n), vector=[1, n, 0, 0]) for n in range(100)])
        assert not caplog.records
        for _ in range(2):
            writer._prepared([Record(id=str(n), vector=same) for n in range(100)])
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "100 records" in caplog.text
    assert "'equals'" in caplog.text
