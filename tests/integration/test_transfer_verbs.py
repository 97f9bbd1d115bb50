"""The verbs `export`, `load` and `migrate`, and their functions, on real servers."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from command_runs import json_of, run_command
from servers import Server, start_server
from valkey_vector import (
    ConfigurationError,
    Connection,
    ConnectionLostError,
    Index,
    IndexMismatchError,
    IndexNotFoundError,
    InvalidInputError,
    Record,
    Schema,
    VectorField,
)
from valkey_vector.operations import (
    aexport_index,
    aload_index,
    amigrate_index,
    export_index,
    load_index,
    migrate_index,
)


@pytest.fixture
def articles(open_index: Callable[..., Index]) -> Index:
    index = open_index(embedding_model="model-a")
    index.upsert([record(n) for n in range(20)])
    return index


@pytest.fixture
def other(open_index: Callable[..., Index], articles: Index) -> Iterator[Index]:
    """The copy, not created yet."""
    index = open_index("copy", dimension=None)
    yield index
    index.drop()


@pytest.fixture
def file(articles: Index, tmp_path: Path) -> Path:
    path = tmp_path / "articles.jsonl"
    export_index(articles, path)
    return path


def record(number: int, **metadata: object) -> Record:
    return Record(
        id=f"d{number}",
        vector=[1, number, 0, 0],
        content=f"text\n{number}",
        metadata={"n": number, **metadata},
        payload=bytes([number]),
        parent="p",
    )


def ttl_of(index: Index, id: str) -> int:
    return int(index.connection.execute("PTTL", f"{index.name}:{id}"))


def test_a_file_has_a_header_a_line_for_each_record_and_an_end(articles: Index, file: Path) -> None:
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 22
    assert lines[0]["format"] == 1
    assert lines[0]["schema"]["dimension"] == 4
    assert lines[0]["embedding_model"] == "model-a"
    assert [line["id"] for line in lines[1:-1]] == [f"d{n}" for n in range(20)]
    assert lines[1]["metadata"] == {"n": 0}
    assert lines[-1] == {"end": True, "records": 20}


def test_times_to_live_are_copied_with_their_kind(articles: Index, other: Index) -> None:
    articles.upsert([record(30), record(31)], ttl=1000)
    articles.upsert([record(32)], ttl=500, sliding=True)
    articles.upsert([record(33)], ttl=0.3)
    while articles.get(["d33"]) != [None]:
        pass
    file = io.BytesIO()
    assert export_index(articles, file).records == 23
    file.seek(0)
    assert load_index(other.connection, file, other.name).written == 23
    assert 900_000 < ttl_of(other, "d30") <= 1_000_000
    assert 400_000 < ttl_of(other, "d32") <= 500_000
    assert ttl_of(other, "d1") == -1

    def expires(index: Index, id: str) -> bool:
        return bool(index.connection.execute("HEXISTS", f"{index.name}:{id}", "expires"))

    assert expires(other, "d30")
    assert not expires(other, "d32")  # a sliding time to live is only that of the key
    assert [one.id for one in other.select()] == [one.id for one in articles.select()]
    assert other.verify().ok


def test_a_filter_chooses_the_exported_records(articles: Index, tmp_path: Path) -> None:
    path = tmp_path / "part.jsonl.gz"
    assert export_index(articles, path, filter={"n": {"$gte": 15}}).records == 5
    lines = gzip.decompress(path.read_bytes()).splitlines()
    assert json.loads(lines[0])["filtered"] is True
    assert len(lines) == 7


def test_a_load_can_be_repeated_and_resumed(articles: Index, other: Index, file: Path) -> None:
    first = load_index(other.connection, file, other.name)
    assert (first.created, first.read, first.written, first.skipped) == (True, 20, 20, 0)
    other.delete(["d3", "d4"])
    other.update_metadata(["d5"], {"n": 99})
    resumed = load_index(other.connection, file, other.name, existing="skip")
    assert (resumed.created, resumed.written, resumed.skipped) == (False, 2, 18)
    assert other.get(["d5"])[0].metadata == {"n": 99}  # type: ignore[union-attr]
    again = load_index(other.connection, file, other.name)
    assert (again.written, again.skipped) == (20, 0)
    assert other.count() == 20
    assert other.get(["d5"])[0].metadata == {"n": 5}  # type: ignore[union-attr]
    assert other.info().embedding_model == "model-a"


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"dimension": 5}, "dimension"),
        ({"dimension": 4, "metric": "L2"}, "metric"),
        ({"dimension": 4, "embedding_model": "model-b"}, "embedding_model"),
    ],
)
def test_an_index_with_other_settings_is_refused_before_anything_is_written(
    open_index: Callable[..., Index], file: Path, settings: dict[str, object], setting: str
) -> None:
    index = open_index("other", **settings)
    index.create()
    with pytest.raises(IndexMismatchError) as caught:
        load_index(index.connection, file, index.name)
    assert setting in caught.value.differences
    assert index.count() == 0


def test_an_index_that_lacks_a_named_vector_is_refused(
    open_index: Callable[..., Index], other: Index
) -> None:
    index = open_index("titled", schema=Schema(dimension=4, vectors=(VectorField("title", 2),)))
    index.upsert([Record(id="a", vectors={"title": [1, 2]})])
    plain = open_index("plain")
    plain.create()
    with pytest.raises(IndexMismatchError, match="title"):
        migrate_index(index, plain.connection, plain.name)
    assert plain.count() == 0
    assert migrate_index(index, other.connection, other.name).ok
    (copied,) = other.get(["a"], with_vectors=True)
    assert copied is not None
    assert copied.vector is None
    assert np.asarray(copied.vectors["title"]).tolist() == [1, 2]


def test_an_incomplete_or_foreign_file_is_refused_before_anything_is_written(
    other: Index, file: Path, tmp_path: Path
) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    broken = {
        "without its last line": b"".join(lines[:-1]),
        "ends without": b"".join(lines[:5]) + lines[5][:20],
        "not the header": b'{"a": 1}\n' + lines[-1],
        "not valid JSON": b"id,text\n" + lines[-1],
        "has format 9": lines[0].replace(b'"format":1', b'"format":9') + lines[-1],
        "export was interrupted": b"",
    }
    for message, content in broken.items():
        path = tmp_path / "broken.jsonl"
        path.write_bytes(content)
        with pytest.raises(InvalidInputError) as caught:
            load_index(other.connection, path, other.name)
        assert message in str(caught.value) or "last line" in str(caught.value)
        assert not other.exists()


def test_a_stream_without_its_end_says_so_and_keeps_what_it_wrote(
    other: Index, file: Path, tmp_path: Path
) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    with pytest.raises(InvalidInputError, match="export was interrupted"):
        load_index(other.connection, io.BytesIO(b"".join(lines[:-1])), other.name)
    with pytest.raises(InvalidInputError, match="has 19"):
        load_index(other.connection, io.BytesIO(b"".join(lines[:5] + lines[6:])), other.name)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b"".join(lines))[:-30])
    with pytest.raises(InvalidInputError, match="damaged or incomplete"):
        load_index(other.connection, cut, other.name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"id":"d7"', b'"id":7', "id"),
        (b'"id":"d7"', b'"name":"d7"', "unknown fields"),
        (b'"content":"text\\n7"', b'"content":7', "content"),
        (b'"vector":"', b'"vector":"!', "line 2"),
        (b'"payload":"', b'"ttl":-1,"payload":"', "ttl"),
    ],
)
def test_a_damaged_record_is_named(
    other: Index, file: Path, old: bytes, new: bytes, message: str
) -> None:
    damaged = file.read_bytes().replace(old, new)
    with pytest.raises(InvalidInputError, match=message):
        load_index(other.connection, io.BytesIO(damaged), other.name)
    assert other.count() == 0


def test_an_existing_file_stays_and_a_failed_export_leaves_none(
    articles: Index, file: Path, tmp_path: Path
) -> None:
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="exists"):
        export_index(articles, file)
    assert file.read_bytes() == before
    articles.delete(["d0"])
    export_index(articles, file, overwrite=True)
    assert file.read_bytes() != before

    def fail(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_index(articles, tmp_path / "new.jsonl", progress=fail)
    with pytest.raises(ConfigurationError, match="cannot write"):
        export_index(articles, tmp_path / "nowhere" / "a.jsonl")
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_index(articles.connection, tmp_path / "none.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_an_outage_during_an_export_is_an_outage(tmp_path: Path) -> None:
    with start_server() as server:
        connection = Connection.open(server.url, request_timeout=2.0)
        index = Index.open("a", dimension=4, connection=connection)
        index.upsert([Record(id=str(n), vector=[1, n, 0, 0]) for n in range(3_000)])

        def kill(done: int, total: int | None) -> None:
            server.kill()

        with pytest.raises(ConnectionLostError):
            export_index(index, tmp_path / "a.jsonl", progress=kill)
        connection.close()
    assert not list(tmp_path.iterdir())


def test_an_export_and_a_load_hold_a_part_of_the_records(
    open_index: Callable[..., Index], other: Index, tmp_path: Path
) -> None:
    """The file has 40 MB; neither direction holds it."""
    index = open_index("large")
    text = "x" * 4_000
    index.upsert(
        Record(id=str(n), vector=[1, n, 0, 0], content=text, payload=b"y" * 2_000)
        for n in range(6_000)
    )
    path = tmp_path / "large.jsonl"
    tracemalloc.start()
    try:
        export_index(index, path)
        _, exported = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        load_index(other.connection, path, other.name)
        _, loaded = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 35_000_000
    assert exported < 30_000_000
    assert loaded < 80_000_000
    assert other.count() == 6_000


async def test_the_async_versions_copy_the_same(
    articles: Index, other: Index, tmp_path: Path
) -> None:
    assert (await aexport_index(articles, tmp_path / "a.gz")).records == 20
    assert (await aload_index(other.connection, tmp_path / "a.gz", other.name)).written == 20
    other.drop()
    assert (await amigrate_index(articles, other.connection, other.name)).ok


def test_a_migration_compares_counts(articles: Index, other: Index) -> None:
    report = migrate_index(articles, other.connection, other.name, filter={"n": {"$lt": 5}})
    assert report.ok
    assert (report.source, report.before, report.after) == (5, 0, 5)
    more = migrate_index(articles, other.connection, other.name)
    assert more.ok
    assert (more.before, more.after) == (5, 20)


def test_counts_that_differ_are_noticed(articles: Index, other: Index) -> None:
    def write(done: int, total: int | None) -> None:
        articles.upsert([record(77)])

    assert not migrate_index(articles, other.connection, other.name, progress=write).ok


def test_an_index_is_not_migrated_onto_itself(articles: Index, server_url: str) -> None:
    with (
        Connection.open(server_url, request_timeout=7.0) as again,
        pytest.raises(InvalidInputError, match="one index"),
    ):
        migrate_index(articles, again)
    assert articles.count() == 20


def test_an_index_that_does_not_exist_is_not_exported(
    open_index: Callable[..., Index], tmp_path: Path
) -> None:
    with pytest.raises(IndexNotFoundError):
        export_index(open_index("none"), tmp_path / "a.jsonl")
    assert not list(tmp_path.iterdir())


def test_the_verbs_export_and_load(
    articles: Index, other: Index, server_url: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "a.jsonl.gz")
    exported = json_of("export", articles.name, path, url=server_url)
    assert exported["records"] == 20
    again = run_command("export", articles.name, path, url=server_url)
    assert again.returncode == 2
    assert "--force" in again.stderr
    loaded = json_of("load", path, other.name, url=server_url)
    assert (loaded["created"], loaded["written"]) == (True, 20)
    shown = run_command("load", path, other.name, "--existing", "skip", url=server_url)
    assert shown.returncode == 0, shown.stderr
    assert "20 were stored already" in shown.stdout
    assert "CHANGES THE SERVER" in run_command("load", "--help").stdout


def test_an_export_is_piped_to_a_load(articles: Index, other: Index, server_url: str) -> None:
    exported = run_command("export", articles.name, "-", url=server_url)
    assert exported.returncode == 0
    assert "20 records exported" in exported.stderr
    loaded = run_command("load", "-", other.name, url=server_url, stdin=exported.stdout)
    assert loaded.returncode == 0, loaded.stderr
    assert other.count() == 20


def test_the_verb_migrate_copies_between_servers(
    articles: Index, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_server() as target:
        monkeypatch.setenv("SOURCE", server_url)
        moved = run_command(
            "migrate", "env:SOURCE", articles.name, target.url, "--to", "copy", "--json"
        )
        assert moved.returncode == 0, moved.stderr
        assert json.loads(moved.stdout)["ok"] is True
        with Connection.open(target.url) as connection:
            copy = Index.open("copy", connection=connection)
            assert [one.id for one in copy.select()] == [f"d{n}" for n in range(20)]
        shown = run_command("migrate", server_url, articles.name, target.url, "--to", "copy")
        assert shown.returncode == 0, shown.stderr
        assert "target: 20 before, 20 now" in shown.stdout
    unset = run_command("migrate", "env:NOTHING", "a", "valkey://h")
    assert unset.returncode == 2
    assert "NOTHING is not set" in unset.stderr


def test_an_embedded_index_is_migrated_to_a_server(
    native_server: Server, index_name: str, tmp_path: Path
) -> None:
    source = f"embedded://{tmp_path / 'data'}"
    with Connection.open(source) as connection:
        Index.open(index_name, dimension=4, connection=connection).upsert([record(1)])
    moved = run_command("migrate", source, index_name, native_server.url)
    assert moved.returncode == 0, moved.stderr
    with Connection.open(native_server.url) as connection:
        assert Index.open(index_name, connection=connection).count() == 1
