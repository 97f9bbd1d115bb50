"""A replica that loads while other clients write, delete and bind slots ends as one that loads afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from native_indexes import HERE, share_nothing
from servers import Server
from valkey_vector import Connection, F, Index, Record
from valkey_vector.engines.native import change_log, loading
from valkey_vector.engines.native.loading import Loading

EXAMPLES = 40

numbers = st.integers(0, 69)
keys = st.sampled_from(["a", "b", "c", "d"])
changes = st.lists(
    st.tuples(
        st.sampled_from(["write", "expiring", "sliding"]), st.lists(numbers, max_size=12), keys
    )
    | st.tuples(st.sampled_from(["delete", "lose"]), st.lists(numbers, max_size=12), keys),
    max_size=3,
)


@pytest.fixture
def connection(native_server: Server) -> Iterator[Connection]:
    with Connection.open(native_server.url) as connection:
        yield connection


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_log, "_MAX_DOCUMENTS", 15)
    monkeypatch.setattr(loading, "_LISTED", 20)
    monkeypatch.setattr(loading, "_PAGE", 7)
    monkeypatch.setattr(loading, "_DECODED", 14)


def apply(index: Index, change: tuple[str, list[int], str]) -> None:
    """Change records as other clients do."""
    kind, chosen, key = change
    ids = [f"d{number}" for number in dict.fromkeys(chosen)]
    match kind:
        case "delete":
            index.delete(ids)
        case "lose":
            index.connection.execute(
                "DEL", f"{index.name}:none", *(f"{index.name}:{id}" for id in ids)
            )
        case _:
            ttl = None if kind == "write" else 600
            index.upsert(
                [Record(id=id, vector=[1, number, 0, 0], metadata={key: number})
                 for id, number in zip(ids, dict.fromkeys(chosen), strict=True)],
                ttl=ttl, sliding=kind == "sliding",
            )  # fmt: skip


def answers(reader: Index) -> Any:
    """What a process finds in all ways that use the replica."""
    return [
        sorted((hit.record.id, hit.distance) for hit in reader.search(HERE, k=100)),
        sorted(record.id for record in reader.select()),
        *(sorted(record.id for record in reader.select(F(key) >= 5)) for key in "abcd"),
        *(sorted(record.id for record in reader.select(F(key) == 9)) for key in "abcd"),
        reader.count(),
    ]


@pytest.mark.timeout(600)
def test_changes_during_a_load_are_all_there_after_it(
    connection: Connection, index_name: str
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(changes, max_size=14), st.booleans())
    def compare(between: list[Any], sortable: bool) -> None:
        writer = Index.open(index_name, connection=connection, dimension=4, engine="native")
        writer.create()
        try:
            writer.upsert(
                [Record(id=f"d{n}", vector=[1, n, 0, 0], metadata={"a": n}) for n in range(60)]
            )
            remaining = iter(between)
            read = Loading._sorted

            def disturbed(self: Loading, part: Any) -> Any:
                for change in next(remaining, ()):
                    apply(writer, change)
                return read(self, part) if sortable else None

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Loading, "_sorted", disturbed)
                share_nothing()
                reader = Index.open(index_name, connection=connection)
                reader.count()
            found = answers(reader)
            share_nothing()
            assert found == answers(Index.open(index_name, connection=connection))
        finally:
            writer.drop()

    compare()
