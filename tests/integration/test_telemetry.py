"""Telemetry: each public operation is one span with its counts; no content; nothing remains after switching it off."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from round_trips import CommandLog
from servers import StandInServer
from valkey_vector import ConnectionLostError, F, Index, InvalidInputError, Record
from valkey_vector.cache import ExactCache, SemanticCache
from valkey_vector.connection import Connection
from valkey_vector.connection.observation import note_candidates, note_fallback
from valkey_vector.query import TextQuery, VectorQuery
from valkey_vector.telemetry import instrument, uninstrument
from valkey_vector.telemetry.operations import OPERATIONS

SECRET = "the content of a record"


def at(degrees: float) -> list[float]:
    radians = math.radians(degrees)
    return [math.cos(radians), math.sin(radians)]


class Recorded:
    """The spans and metrics of a test."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader])

    def instrument(self, **settings: Any) -> None:
        instrument(
            tracer_provider=self.tracer_provider, meter_provider=self.meter_provider, **settings
        )

    def spans(self) -> list[ReadableSpan]:
        """The spans that ended since the last call."""
        spans = list(self._exporter.get_finished_spans())
        self._exporter.clear()
        return spans

    def span(self) -> ReadableSpan:
        [span] = self.spans()
        return span

    def points(self, metric: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for each in scope.metrics
            if each.name == metric
            for point in each.data.data_points
        ]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    recorded = Recorded()
    recorded.instrument()
    yield recorded
    uninstrument()


@pytest.fixture
def articles(open_index: Callable[..., Index]) -> Index:
    index = open_index(dimension=2, full_text=True)
    index.upsert(
        [
            Record(id=str(n), content=f"{SECRET} {n}", vector=at(n), metadata={"n": n})
            for n in range(20)
        ]
    )
    index.count()
    return index


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_search_is_one_span_with_its_counts(
    articles: Index, recorded: Recorded, commands: CommandLog
) -> None:
    commands.clear()
    hits = articles.search(at(0), k=3)
    span = recorded.span()
    assert span.name == f"search {articles.name}"
    assert span.kind is SpanKind.CLIENT
    found = attributes(span)
    assert found["db.system.name"] == "valkey"
    assert found["db.operation.name"] == "search"
    assert found["db.collection.name"] == articles.name
    assert found["db.response.returned_rows"] == len(hits) == 3
    assert found["valkey_vector.candidates"] == 3
    assert found["valkey_vector.round_trips"] == len(commands.round_trips) == 1
    assert found["valkey_vector.commands"] == len(commands.names())
    assert "valkey_vector.fallbacks" not in found


def test_a_partial_answer_is_marked(
    lossy_cluster: StandInServer, index_name: str, recorded: Recorded
) -> None:
    with Connection.open(lossy_cluster.url) as connection:
        index = Index.open(index_name, dimension=2, connection=connection)
        index.upsert([Record(id=str(n), vector=at(n)) for n in range(20)])
        index.search(at(0), consistency="partial")
        recorded.spans()
        lossy_cluster.stand_in.state.shard_lost = True
        assert index.search(at(0), consistency="partial").partial
    found = attributes(recorded.span())
    assert found["valkey_vector.partial"] is True
    assert found["valkey_vector.fallbacks"] == ("the shards that answer",)


def test_a_fallback_is_named(articles: Index, recorded: Recorded) -> None:
    even = F("n").satisfies((int,), lambda n: n % 2 == 0)
    hits = articles.search(at(0), k=15, filter=even & (F("n") >= 0))
    found = attributes(recorded.span())
    assert len(hits) == 10
    assert found["valkey_vector.candidates"] >= 20


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("search", lambda index: index.search(at(0))),
        ("search_mmr", lambda index: index.search_mmr(at(0))),
        ("search_text", lambda index: index.search_text("content")),
        ("search_hybrid", lambda index: index.search_hybrid(at(0), "content")),
        ("query", lambda index: index.query(TextQuery("content"))),
        ("search_many", lambda index: index.search_many([VectorQuery(vector=at(0), k=1)])),
        ("get", lambda index: index.get(["1"])),
        ("count", lambda index: index.count(F("n") > 3)),
        ("select", lambda index: index.select(F("n") > 3)),
        ("facets", lambda index: index.facets(["n"])),
        ("upsert", lambda index: index.upsert([Record(id="1", vector=at(0))])),
        ("update_metadata", lambda index: index.update_metadata(["1"], {"n": 2})),
        ("delete", lambda index: index.delete(["1"])),
        ("delete_by_filter", lambda index: index.delete_by_filter(F("n") == 3)),
        ("verify", lambda index: index.verify()),
        ("drop", lambda index: index.drop()),
    ],
)
def test_every_operation_is_one_span(
    articles: Index, recorded: Recorded, operation: str, call: Callable[[Index], Any]
) -> None:
    call(articles)
    found = attributes(recorded.span())
    assert found["db.operation.name"] == operation
    assert found["valkey_vector.round_trips"] >= 1


def test_requests_of_the_writing_threads_belong_to_the_write(
    articles: Index, recorded: Recorded
) -> None:
    articles.upsert(
        [Record(id=f"new{n}", vector=at(n), content="x" * 2_000) for n in range(3_000)],
        progress=False,
    )
    found = attributes(recorded.span())
    assert found["db.response.returned_rows"] == 3_000
    assert found["valkey_vector.commands"] >= 3


async def test_an_async_operation_is_the_same_span(articles: Index, recorded: Recorded) -> None:
    tracer = recorded.tracer_provider.get_tracer("test")
    with tracer.start_as_current_span("request") as request:
        await asyncio.gather(articles.asearch(at(0), k=2), articles.acount())
    spans = {span.name.partition(" ")[0]: span for span in recorded.spans()}
    assert set(spans) == {"request", "search", "count"}
    for name in ("search", "count"):
        parent = spans[name].parent
        assert parent is not None
        assert parent.span_id == request.get_span_context().span_id
        assert attributes(spans[name])["valkey_vector.round_trips"] == 1


def test_an_error_is_recorded_by_its_type_alone(articles: Index, recorded: Recorded) -> None:
    with pytest.raises(InvalidInputError):
        articles.search([1.0, 2.0, 3.0])
    span = recorded.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    assert span.events == ()
    assert attributes(span)["error.type"] == "InvalidInputError"


def test_content_is_recorded_only_on_request(articles: Index, recorded: Recorded) -> None:
    def everything() -> str:
        articles.search_text(SECRET, filter=F("n") == 12345)
        articles.query(VectorQuery(vector=at(77), k=1, filter=F("n") == 12345))
        with pytest.raises(InvalidInputError):
            articles.search([0.123456, 2.0, 3.0])
        return " ".join(span.to_json() for span in recorded.spans())

    silent = everything()
    assert SECRET not in silent
    assert "12345" not in silent
    recorded.instrument(capture_content=True)
    telling = everything()
    assert SECRET in telling
    assert telling.count("12345") == 2
    assert str(at(77)[0]) not in silent + telling
    assert "dimension" in telling


def test_operations_have_a_duration_and_round_trips(articles: Index, recorded: Recorded) -> None:
    for _ in range(3):
        articles.search(at(0))
    [point] = recorded.points("db.client.operation.duration")
    assert point.count == 3
    assert dict(point.attributes) == {
        "db.system.name": "valkey",
        "db.operation.name": "search",
        "db.collection.name": articles.name,
    }
    [trips] = recorded.points("valkey_vector.round_trips")
    assert trips.value == 3


def test_candidates_and_fallbacks_are_counted(cache: SemanticCache, recorded: Recorded) -> None:
    def compute(prompt: str) -> str:
        note_candidates(30)
        note_fallback("more candidates")
        return prompt

    for degrees in (0, 90):
        cache.get_or_compute(f"prompt @{degrees}", compute)
    spans = [attributes(span) for span in recorded.spans()]
    assert [span["valkey_vector.fallbacks"] for span in spans] == [("more candidates",)] * 2
    [candidates] = recorded.points("valkey_vector.candidates")
    assert candidates.value == sum(span["valkey_vector.candidates"] for span in spans) >= 60
    [fallbacks] = recorded.points("valkey_vector.fallbacks")
    assert fallbacks.value == 2
    assert dict(fallbacks.attributes) == {
        "db.system.name": "valkey",
        "db.operation.name": "get_or_compute",
        "db.collection.name": cache.name,
        "method": "more candidates",
    }


def test_counters_go_on_when_it_is_switched_on_again(articles: Index, recorded: Recorded) -> None:
    articles.search(at(0))
    recorded.instrument()
    articles.search(at(0))
    uninstrument()
    articles.search(at(0))
    recorded.instrument(capture_content=True)
    articles.search(at(0))
    [trips] = recorded.points("valkey_vector.round_trips")
    [duration] = recorded.points("db.client.operation.duration")
    assert trips.value == duration.count == 3


def test_providers_count_apart(articles: Index, recorded: Recorded) -> None:
    articles.search(at(0))
    other = Recorded()
    other.instrument()
    articles.search(at(0))
    articles.search(at(0))
    [first] = recorded.points("valkey_vector.round_trips")
    [second] = other.points("valkey_vector.round_trips")
    assert (first.value, second.value) == (1, 2)


@pytest.mark.parametrize("in_request", [False, True])
def test_an_operation_that_is_not_sampled_has_metrics_and_no_spans_inside(
    cache: SemanticCache, recorded: Recorded, in_request: bool
) -> None:
    silent = TracerProvider(sampler=ALWAYS_OFF)
    tracer = recorded.tracer_provider.get_tracer("test")

    def compute(prompt: str) -> str:
        with tracer.start_as_current_span("model"):
            return prompt

    instrument(tracer_provider=silent, meter_provider=recorded.meter_provider)
    with ExitStack() as stack:
        if in_request:
            request = silent.get_tracer("test").start_as_current_span("request")
            stack.enter_context(request)
        cache.get_or_compute("prompt @0", compute)
    assert recorded.spans() == []
    [point] = recorded.points("db.client.operation.duration")
    assert point.count == 1


def test_lookups_of_a_cache_are_counted_by_result(cache: SemanticCache, recorded: Recorded) -> None:
    cache.get_or_compute("prompt @0", str.upper)
    cache.lookup("prompt @0")
    cache.lookup("prompt @1")
    cache.lookup_many(["prompt @0", "other @90"])
    spans = [
        {
            name.rpartition(".")[2]: value
            for name, value in attributes(span).items()
            if ".cache." in name
        }
        for span in recorded.spans()
    ]
    assert spans == [{"miss": 1}, {"exact": 1}, {"semantic": 1}, {"exact": 1, "miss": 1}]
    counted: Counter[str] = Counter()
    for point in recorded.points("valkey_vector.cache.lookups"):
        if point.attributes["db.operation.name"] != "get_or_compute":
            counted[point.attributes["result"]] += point.value
    assert counted == {"exact": 2, "semantic": 1, "miss": 1}


async def test_lookups_of_an_async_cache_are_counted(
    cache: SemanticCache, recorded: Recorded
) -> None:
    await cache.aget_or_compute("prompt @0", str.upper)
    await cache.alookup("prompt @0")
    first, second = (attributes(span) for span in recorded.spans())
    assert first["valkey_vector.cache.miss"] == 1
    assert second["valkey_vector.cache.exact"] == 1


def test_an_exact_cache_has_hits_and_misses(
    server_url: str, index_name: str, recorded: Recorded
) -> None:
    with (
        Connection.open(server_url) as connection,
        ExactCache(name=index_name, connection=connection) as cache,
    ):
        cache.lookup("prompt")
        cache.store("prompt", "answer")
        cache.lookup("prompt")
    miss, store, hit = (attributes(span) for span in recorded.spans())
    assert miss["valkey_vector.cache.miss"] == 1
    assert store["db.operation.name"] == "store"
    assert hit["valkey_vector.cache.exact"] == 1


def test_an_answer_that_an_exact_cache_could_not_store_is_not_a_miss(
    server_url: str, index_name: str, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise ConnectionLostError("the server is gone")

    with (
        Connection.open(server_url) as connection,
        ExactCache(name=index_name, connection=connection) as cache,
    ):
        monkeypatch.setattr(connection, "execute", lost)
        assert cache.store("prompt", "answer") is None
    assert "valkey_vector.cache.miss" not in attributes(recorded.span())


def test_a_search_within_a_computed_answer_is_a_span_of_its_own(
    cache: SemanticCache, open_index: Callable[..., Index], recorded: Recorded
) -> None:
    articles = open_index("-articles", dimension=2)
    articles.upsert([Record(id="1", vector=at(0))])
    cache.get_or_compute("prompt @0", lambda _: articles.search(at(0), k=1)[0].record.id)
    names = {span.name for span in recorded.spans()}
    assert f"search {articles.name}" in names
    assert f"get_or_compute {cache.name}" in names


def test_nothing_remains_after_switching_it_off(articles: Index) -> None:
    before = {
        (owner, name): getattr(owner, name)
        for owner, names in OPERATIONS.items()
        for name in [*names, *(f"a{name}" for name in names)]
    }
    recorded = Recorded()
    recorded.instrument()
    recorded.instrument()
    assert Index.search is not before[Index, "search"]
    uninstrument()
    uninstrument()
    for (owner, name), original in before.items():
        assert getattr(owner, name) is original
    articles.search(at(0))
    assert recorded.spans() == []


def test_every_public_operation_of_an_index_has_spans_or_sends_nothing_worth_one() -> None:
    quiet = {
        "open", "attach", "exists", "info", "close", "iterate", "wait_until_indexed",
    }  # fmt: skip
    public = {
        name
        for name in dir(Index)
        if not name.startswith("_") and not isinstance(getattr(Index, name), property)
    }
    versions = {*OPERATIONS[Index], *(f"a{name}" for name in OPERATIONS[Index])}
    assert public - versions - quiet - {f"a{name}" for name in quiet} == set()
