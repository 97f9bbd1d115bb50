"""An export that is loaded has every part of every record, on both engines and from one to the other."""

from __future__ import annotations

import io
from collections.abc import Iterator
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers import Server
from strategies import CONTENTS, DIMENSION, IDS, PARENTS, anything, metadata
from valkey_vector import Connection, Index, Record, Schema, VectorField
from valkey_vector.operations import export_index, load_index, migrate_index

SCHEMA = Schema(dimension=DIMENSION, vectors=(VectorField("title é", 2),))

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Records with every optional part, and without."""
    ids = draw(st.lists(st.sampled_from(IDS) | anything, min_size=1, max_size=6, unique=True))
    return [
        Record(
            id=id,
            content=draw(st.sampled_from(CONTENTS) | anything),
            vector=draw(st.none() | vectors(DIMENSION)),
            metadata=draw(metadata),
            parent=draw(st.none() | st.sampled_from(PARENTS)),
            payload=draw(st.none() | st.binary(max_size=20)),
            vectors=draw(st.just({}) | st.fixed_dictionaries({"title é": vectors(2)})),
        )
        for id in ids
        if id and "\0" not in id
    ]


def vectors(size: int) -> st.SearchStrategy[list[float]]:
    # RediSearch, which the engine `search` may run on here, refuses vectors of zeros.
    return st.lists(floats, min_size=size, max_size=size).filter(
        lambda row: bool(np.linalg.norm(row) > 1e-3)
    )


@pytest.fixture(scope="module")
def connections(native_server: Server, search_server: Server) -> Iterator[dict[str, Connection]]:
    with (
        Connection.open(native_server.url) as native,
        Connection.open(search_server.url) as search,
    ):
        yield {"native": native, "search": search}


def parts(record: Record) -> tuple[object, ...]:
    """Everything of a record, with its vectors as bytes."""

    def packed(vector: object) -> bytes | None:
        return None if vector is None else np.asarray(vector, dtype="<f4").tobytes()

    return (
        record.id,
        record.content,
        repr(record.metadata),  # 1 and 1.0 and True differ
        record.parent,
        record.payload,
        packed(record.vector),
        {name: packed(vector) for name, vector in record.vectors.items()},
    )


def stored(index: Index) -> list[tuple[object, ...]]:
    """All records in the order of their creation."""
    return [parts(record) for record in index.select(with_vectors=True, with_payloads=True)]


@pytest.mark.parametrize("source", ["native", "search"])
@pytest.mark.parametrize("target", ["native", "search"])
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(listed=records())
def test_a_loaded_export_has_every_part_of_every_record_in_order(
    connections: dict[str, Connection], source: str, target: str, listed: list[Record]
) -> None:
    name = f"t{uuid4().hex}"
    index = Index.open(name, connection=connections[source], schema=SCHEMA, engine=source)  # type: ignore[arg-type]
    copies = [
        Index.open(f"{name}{suffix}", connection=connections[target]) for suffix in ("f", "m")
    ]
    try:
        index.create()
        index.upsert(listed)
        expected = stored(index)
        assert len(expected) == len(listed)
        file = io.BytesIO()
        export_index(index, file)
        file.seek(0)
        report = load_index(connections[target], file, copies[0].name, engine=target)  # type: ignore[arg-type]
        assert report.written == len(listed)
        assert stored(copies[0]) == expected
        assert copies[0].schema == SCHEMA
        moved = migrate_index(index, connections[target], copies[1].name, engine=target)  # type: ignore[arg-type]
        assert moved.ok
        assert stored(copies[1]) == expected
    finally:
        for each in (index, *copies):
            each.drop()
