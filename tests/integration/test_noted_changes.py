"""Kept counts of text search and facets stay exact after writes of any clients, which note what they change."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from round_trips import CommandLog
from servers import Server
from text_oracle import answers
from valkey_vector import F, Index, Record, ServerError
from valkey_vector.engines.search import noted
from valkey_vector.errors import RequestTimeoutError

WORDS = [f"word{n}" for n in range(12)]
CITIES = ["Ulm", "Bonn", "Kiel", None, 7, True]
FILTERS = [None, F("number") >= 5, F("city") == "Ulm"]
QUERIES = ["word1", "word2 word3", "word4 word5 word1"]

Content = dict[str, tuple[str, dict[str, Any]]]


@pytest.fixture
def clients(valkey_search_server: Server, index_name: str) -> Iterator[list[Index]]:
    """Two clients of one index, each with its own connection."""
    opened = [
        Index.open(
            index_name, dimension=4, url=valkey_search_server.url, engine="search", full_text=True
        )
        for _ in range(2)
    ]
    yield opened
    opened[0].drop()
    for index in opened:
        index.close()


def record(chosen: random.Random, id: str) -> Record:
    text = " ".join(chosen.choices(WORDS, k=chosen.randint(0, 9)))
    metadata = {"number": chosen.randrange(10), "city": chosen.choice(CITIES)}
    return Record(
        id=id, content=text, metadata={k: v for k, v in metadata.items() if v is not None}
    )


def filled(index: Index, chosen: random.Random) -> Content:
    records = [record(chosen, f"r{n}") for n in range(60)]
    index.upsert(records)
    return {each.id: (each.content, dict(each.metadata)) for each in records}


def check(index: Index, content: Content) -> None:
    """Compare scores, facets and groups with the content."""
    texts = {id: text for id, (text, _) in content.items()}
    for query in QUERIES:
        expected = answers(texts, query, every=False)
        best = sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))[:5]
        hits = index.search_text(query, k=5)
        assert [hit.record.id for hit in hits] == [id for id, _ in best]
        assert [hit.score for hit in hits] == pytest.approx([score for _, score in best])
    for filter in FILTERS:
        found = [
            data
            for _, data in content.values()
            if filter is None
            or (data["number"] >= 5 if filter is FILTERS[1] else data.get("city") == "Ulm")
        ]
        facets = index.facets(["city", "number"], filter=filter)
        for key in ("city", "number"):
            held = Counter(repr(data[key]) for data in found if key in data)
            assert {repr(each.value): each.count for each in facets[key].values} == held
            assert facets[key].missing == len(found) - held.total()


def write(index: Index, content: Content, chosen: random.Random) -> None:
    """Write, update or delete some records, as the noted batches and the others do."""
    id = f"r{chosen.randrange(70)}"
    match chosen.randrange(8):
        case 0 | 1 | 2:
            written = [
                record(chosen, f"r{n}") for n in chosen.sample(range(70), chosen.randint(1, 4))
            ]
            index.upsert(written)
        case 3:
            index.delete([id, "absent"])
            content.pop(id, None)
            return
        case 4 | 5:
            if id in content:
                index.update_metadata([id], {"city": "Kiel", "number": 3})
                content[id] = content[id][0], content[id][1] | {"city": "Kiel", "number": 3}
            return
        case 6:
            written = [record(chosen, f"r{n}") for n in chosen.sample(range(70), 15)]
            index.upsert(written)
        case _:
            written = [record(chosen, id)]
            index.upsert(written, ttl=1000 if chosen.random() < 0.5 else None)
    content.update({each.id: (each.content, dict(each.metadata)) for each in written})


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_exact_after_any_writes_of_two_clients(clients: list[Index], seed: int) -> None:
    chosen = random.Random(seed)
    content = filled(clients[0], chosen)
    for _ in range(20):
        for _ in range(chosen.randrange(4)):
            write(chosen.choice(clients), content, chosen)
        check(chosen.choice(clients), content)
    for index in clients:
        check(index, content)


def test_counts_are_exact_after_writers_that_wrote_during_the_counts(clients: list[Index]) -> None:
    index, reader = clients
    chosen = random.Random(9)
    content = filled(index, chosen)
    parts: list[Content] = [{}, {}]
    ended = threading.Event()

    def run(at: int) -> None:
        own = random.Random(at)
        for _ in range(150):
            new = record(own, f"r{2 * own.randrange(40) + at}")
            if own.random() < 0.3:
                clients[at].delete([new.id])
                parts[at][new.id] = ("", {"deleted": True})
            else:
                clients[at].upsert([new])
                parts[at][new.id] = (new.content, dict(new.metadata))

    def read() -> None:
        while not ended.is_set():
            reader.search_text(QUERIES[1], k=3)
            reader.facets(["city", "number"])

    with ThreadPoolExecutor() as threads:
        reading = threads.submit(read)
        try:
            list(threads.map(run, range(2)))
        finally:
            ended.set()
        reading.result()
    for part in parts:
        for id, each in part.items():
            if each[1].get("deleted"):
                content.pop(id, None)
            else:
                content[id] = each
    for index in clients:
        check(index, content)
        write(clients[0], content, chosen)
        check(index, content)


def test_counts_made_in_the_middle_of_a_write_are_not_added_to(
    clients: list[Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = clients
    chosen = random.Random(10)
    content = filled(writer, chosen)
    new = record(chosen, "r1")
    pipeline = type(writer.connection).pipeline

    def halting(self: Any, commands: Any, **options: Any) -> Any:
        """Search after the record is written, and before the batch ends."""
        if commands[0][0] != "HSET" or commands[-1][0] != "EVAL":
            return pipeline(self, commands, **options)
        monkeypatch.undo()
        replies = pipeline(self, commands[:-1], **options)
        content[new.id] = new.content, dict(new.metadata)
        check(reader, content)
        return replies + pipeline(self, commands[-1:], **options)

    monkeypatch.setattr(type(writer.connection), "pipeline", halting)
    writer.upsert([new])
    assert content[new.id] == (new.content, dict(new.metadata))
    check(reader, content)


def counts(commands: CommandLog) -> int:
    """Return the number of queries that counted a value or a term; forgets them."""
    sent = [each for trip in commands.round_trips for each in trip if each[0] == b"FT.SEARCH"]
    commands.clear()
    return sum(
        b"word1|" in each[2] or b"city_sUlm" in each[2]
        for each in sent
        if b"NOCONTENT" not in each and b"RETURN" not in each
    )


def searched(index: Index, commands: CommandLog) -> int:
    commands.clear()
    index.search_text("word1", k=1)
    index.facets(["city"])
    return counts(commands)


def test_a_small_write_of_another_client_leads_to_no_count(
    clients: list[Index], commands: CommandLog
) -> None:
    writer, reader = clients
    chosen = random.Random(1)
    content = filled(writer, chosen)
    check(reader, content)
    for number in range(20):
        new = record(chosen, f"r{number}")
        writer.upsert([new])
        content[new.id] = new.content, dict(new.metadata)
        assert searched(reader, commands) == 0
    for change in (
        lambda: writer.delete(["r3", "absent"]),
        lambda: writer.update_metadata(["r4"], {"city": "Ulm"}),
        lambda: writer.upsert(
            [Record(id="other", content="newword word1", metadata={"number": 0})]
        ),
    ):
        change()
        assert searched(reader, commands) == 0
    del content["r3"]
    content["r4"] = content["r4"][0], content["r4"][1] | {"city": "Ulm"}
    content["other"] = "newword word1", {"number": 0}
    check(reader, content)


def test_writes_that_are_not_noted_are_counted(clients: list[Index], commands: CommandLog) -> None:
    writer, reader = clients
    chosen = random.Random(2)
    content = filled(writer, chosen)
    check(reader, content)
    key = f"{writer.name}:r1"

    def foreign() -> None:
        writer.connection.execute("UNLINK", key)
        del content["r1"]

    def batch() -> None:
        written = [record(chosen, f"r{n}") for n in range(2, 20)]
        writer.upsert(written)
        content.update({each.id: (each.content, dict(each.metadata)) for each in written})

    def limited() -> None:
        new = record(chosen, "r2")
        writer.upsert([new], ttl=1000)
        content["r2"] = new.content, dict(new.metadata)

    def many() -> None:
        for _ in range(noted.KEPT + 1):
            new = record(chosen, f"r{chosen.randrange(3, 60)}")
            writer.upsert([new])
            content[new.id] = new.content, dict(new.metadata)

    for change in (foreign, batch, limited, many):
        change()
        assert searched(reader, commands)
        check(reader, content)
    kept = writer.connection.execute("HLEN", f"{{{writer.name}}}:writes")
    assert 0 < int(kept) <= noted.KEPT
    left = writer.connection.execute("TTL", f"{{{writer.name}}}:writes")
    assert 0 < int(left) <= noted.ENDS


def test_after_a_killed_writer_and_after_its_lock_was_taken_over_everything_is_counted(
    clients: list[Index], commands: CommandLog
) -> None:
    writer, reader = clients
    chosen = random.Random(3)
    content = filled(writer, chosen)
    check(reader, content)
    # A writer that was killed between its change and the end of its batch.
    writer.connection.execute("HSET", f"{{{writer.name}}}:locks", "r1", "token 1")
    writer.connection.execute("HSET", f"{writer.name}:r1", "words", "word1", "length", "1")
    writer.upsert([record(random.Random(5), "r2")])
    assert searched(reader, commands)
    assert searched(reader, commands) == 0  # nothing was written since
    writer.upsert([record(random.Random(6), "r2")])
    assert searched(reader, commands)
    again = record(random.Random(7), "r1")
    writer.upsert([again])  # takes the lock over
    assert searched(reader, commands)
    last = record(random.Random(8), "r2")
    writer.upsert([last])
    assert searched(reader, commands) == 0
    for each in (again, last):
        content[each.id] = each.content, dict(each.metadata)
    check(reader, content)


def test_what_a_killed_writer_changed_is_counted_after_its_lock_was_taken_over(
    clients: list[Index],
) -> None:
    writer, reader = clients
    chosen = random.Random(11)
    content = filled(writer, chosen)
    check(reader, content)  # as of a moment without locks
    writer.connection.execute("HSET", f"{{{writer.name}}}:locks", "r1", "token 1")
    writer.connection.execute("HSET", f"{writer.name}:r1", "words", "word1", "length", "1")
    new = record(chosen, "r1")
    writer.upsert([new])  # its old fields are those of the killed writer
    content[new.id] = new.content, dict(new.metadata)
    check(reader, content)


def test_what_another_program_removed_is_counted_after_a_noted_write(clients: list[Index]) -> None:
    writer, reader = clients
    chosen = random.Random(12)
    content = filled(writer, chosen)
    check(reader, content)
    writer.connection.execute("UNLINK", f"{writer.name}:r1")
    del content["r1"]
    new = record(chosen, "r2")
    writer.upsert([new])
    content[new.id] = new.content, dict(new.metadata)
    check(reader, content)


def test_a_write_that_the_server_rejected_is_not_taken_for_done(
    clients: list[Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = clients
    chosen = random.Random(4)
    content = filled(writer, chosen)
    check(reader, content)
    pipeline = type(writer.connection).pipeline

    def rejecting(self: Any, commands: Any, **options: Any) -> Any:
        """Replace HSET by a command that the server rejects, as a user without the right would see it."""
        changed = [["HSET", each[1]] if each[0] == "HSET" else each for each in commands]
        return pipeline(self, changed, **options)

    monkeypatch.setattr(type(writer.connection), "pipeline", rejecting)
    with pytest.raises((ServerError, RequestTimeoutError)):
        writer.upsert([record(chosen, "r1")])
    monkeypatch.undo()
    check(reader, content)
    write(writer, content, chosen)
    check(reader, content)


def test_counts_are_made_again_after_a_while(
    clients: list[Index], commands: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = clients
    check(reader, filled(writer, random.Random(5)))
    monkeypatch.setattr("valkey_vector.engines.search.text_known.LONGEST", -1.0)
    monkeypatch.setattr("valkey_vector.execution.kept_counts.LONGEST", -1.0)
    writer.upsert([record(random.Random(5), "r1")])
    assert searched(reader, commands)


def test_a_noted_write_takes_no_more_round_trips(
    open_search_index: Callable[..., Index], commands: CommandLog
) -> None:
    index = open_search_index(full_text=True)
    new = Record(id="r1", content="word1 word2", metadata={"number": 1})
    index.upsert([new])
    commands.clear()
    index.upsert([new])
    assert len(commands.round_trips) == 2
    commands.clear()
    index.delete(["r1"])
    assert len(commands.round_trips) == 2
