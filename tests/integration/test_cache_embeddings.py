"""The embeddings cache, on a server: each text once for a model, and exactly what the model made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from round_trips import CommandLog
from servers import TestServer, start_server
from valkey_vector import (
    ConfigurationError,
    Connection,
    ConnectionLostError,
    InvalidInputError,
    ServerError,
)
from valkey_vector.cache import SemanticCache
from valkey_vector.cache.embeddings import EmbeddingsCache

Open = Callable[..., EmbeddingsCache]


class Model:
    """Returns vectors of float64 numbers that no float32 holds, and records the texts."""

    def __init__(self, size: int = 3) -> None:
        self.size = size
        self.asked: list[list[str]] = []
        self.awaited = 0

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.append(list(texts))
        return [[len(text) + 0.1, *([1 / 3] * (self.size - 1))] for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        self.awaited += 1
        return self.embed(texts)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def cached(server_url: str, index_name: str, model: Model) -> Iterator[Open]:
    with Connection.open(server_url) as connection:

        def opened(embed: Any = model, **settings: Any) -> EmbeddingsCache:
            asked = {
                "model": "m",
                "name": index_name,
                "connection": connection,
                "on_error": "raise",
                **settings,
            }
            return EmbeddingsCache(embed, **asked)

        yield opened


def test_each_text_is_embedded_once_and_its_vector_is_returned_exactly(
    cached: Open, model: Model
) -> None:
    cache = cached()
    texts = ["a", "bb", "a", "", "ü", "a"]
    expected = Model().embed(texts)
    assert cache.embed(texts) == expected
    assert cache.embed([*texts, "ccc"]) == [*expected, *Model().embed(["ccc"])]
    assert model.asked == [["a", "bb", "", "ü"], ["ccc"]]
    assert cache.embed([]) == []
    assert len(model.asked) == 2


async def test_the_async_version_awaits_the_model(cached: Open, model: Model) -> None:
    cache = cached()
    assert await cache.aembed(["a", "b"]) == cache.embed(["a", "b"])
    assert (model.asked, model.awaited) == ([["a", "b"]], 1)
    assert await cache.amget(["a", "x"]) == [Model().embed(["a"])[0], None]


@pytest.mark.parametrize("function", ["blocking", "coroutine"])
async def test_a_function_of_one_text_will_do(cached: Open, function: str) -> None:
    async def coroutine(text: str) -> list[float]:
        return [float(len(text))]

    cache = cached(coroutine if function == "coroutine" else lambda text: [float(len(text))])
    assert await cache.aembed(["a", "bb"]) == [[1.0], [2.0]]
    assert cache.embed(["bb", "a"]) == [[2.0], [1.0]]


def test_float32_is_the_same_from_the_first_time_on(cached: Open, index_name: str) -> None:
    cache = cached(dtype="float32")
    first, again = cache.embed(["a"]), cache.embed(["a"])
    assert first == again == [[float(np.float32(x)) for x in Model().embed(["a"])[0]]]
    exact = cached(dtype="float64").embed(["a"])
    assert exact == Model().embed(["a"])
    sizes = {
        int(cache.connection.execute("STRLEN", key))
        for keys in cache.connection.scan(f"*{index_name}*")
        for key in keys
    }
    assert sizes == {12, 24}


def test_no_model_receives_the_vectors_of_another(cached: Open, model: Model) -> None:
    caches = [
        cached(model=name, version=version, name=f"{kind}")
        for kind in ("t*", "t")
        for name, version in [("m", ""), ("m", "1"), ("m1", ""), ("m.1", ""), ("m_1", ""), ("m*", "")]
    ]  # fmt: skip
    for number, cache in enumerate(caches):
        assert cache.mget(["a"]) == [None]
        cache.mset({"a": [float(number)]})
    for number, cache in enumerate(caches):
        assert cache.embed(["a"]) == [[float(number)]]
    assert model.asked == []
    assert [cache.clear() for cache in caches] == [1] * len(caches)


def test_a_call_is_one_round_trip_if_all_is_cached_and_else_two(
    cached: Open, commands: CommandLog
) -> None:
    cache = cached(ttl=60)
    texts = [f"text {number}" for number in range(1000)]
    cache.mget(["x"])
    commands.clear()
    cache.embed(texts)
    assert len(commands.round_trips) == 2
    commands.clear()
    cache.embed(texts)
    assert len(commands.round_trips) == 1
    assert cache.delete(texts) == 1000


def test_a_vector_is_kept_as_long_as_it_shall(cached: Open, index_name: str) -> None:
    cached(ttl=60).embed(["a"])
    ((key,),) = cached().connection.scan(f"*{index_name}*")
    assert 50_000 < cached().connection.execute("PTTL", key) <= 60_000


@pytest.mark.parametrize(
    "made", [[], [float("nan")], [float("inf")], ["x"], [[1.0]], [1e300], None], ids=repr
)
def test_what_is_no_vector_is_an_error_and_not_kept(cached: Open, made: Any) -> None:
    cache = cached(lambda text: made if text == "bad" else [1.0], dtype="float32")
    with pytest.raises(InvalidInputError, match="bad"):
        cache.embed(["good", "bad"])
    assert cache.mget(["good", "bad"]) == [None, None]
    with pytest.raises(InvalidInputError):
        cache.mset({"good": [1.0], "bad": made})
    assert cache.mget(["good", "bad"]) == [None, None]


def test_a_model_that_changed_without_a_new_version_is_noticed(cached: Open) -> None:
    cached(Model(3)).embed(["a"])
    with pytest.raises(ConfigurationError, match="version"):
        cached(Model(4)).embed(["a", "b"])
    assert cached(Model(4), version="2").embed(["a", "b"]) == Model(4).embed(["a", "b"])
    with pytest.raises(InvalidInputError, match="dimension"):
        cached().mset({"a": [1.0], "b": [1.0, 2.0]})


def test_a_foreign_value_is_computed_again(cached: Open, index_name: str) -> None:
    cached().embed(["a", "b"])
    keys = [key for keys in cached().connection.scan(f"*{index_name}*") for key in keys]
    for garbage in (b"", b"1234567", np.array([np.nan] * 3).tobytes()):
        cached().connection.execute("SET", keys[0], garbage)
        with pytest.raises(ServerError, match="is not a float"):
            cached().embed(["a", "b"])
        tolerant = cached(on_error="miss")
        assert tolerant.embed(["a", "b"]) == Model().embed(["a", "b"])
        assert tolerant.failures == 1
        assert cached().mget(["a", "b"]) == Model().embed(["a", "b"])


async def test_an_outage_is_bypassed_or_raises(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    with start_server() as server, Connection.open(server.url, retries=0) as connection:
        tolerant = EmbeddingsCache(model, model="m", connection=connection)
        strict = EmbeddingsCache(model, model="m", connection=connection, on_error="raise")
        tolerant.embed(["a"])
        server.kill()
        with caplog.at_level(logging.WARNING):
            assert tolerant.embed(["a", "b"]) == Model().embed(["a", "b"])
            assert await tolerant.aembed(["a", "b"]) == Model().embed(["a", "b"])
        assert len(caplog.records) == 1
        assert tolerant.failures == 2
        with pytest.raises(ConnectionLostError):
            strict.embed(["a"])
        server.restart()
        tolerant.embed(["a"])
        asked = len(model.asked)
        assert strict.embed(["a"]) == Model().embed(["a"])
        assert len(model.asked) == asked


def test_what_the_model_raises_is_raised(cached: Open) -> None:
    def broken(text: str) -> list[float]:
        raise RuntimeError(text)

    with pytest.raises(RuntimeError, match="a"):
        cached(broken, on_error="miss").embed(["a"])


def test_it_is_an_embedder_of_the_semantic_cache(
    cached: Open, model: Model, index_name: str
) -> None:
    cache = cached()
    with SemanticCache(
        cache, name=index_name, connection=cache.connection, on_error="raise"
    ) as semantic:
        semantic.store("prompt", 1)
        assert semantic.lookup("other!") is not None
        semantic.drop()
    assert cache.mget(["prompt", "other!"]) == Model().embed(["prompt", "other!"])


def test_it_works_on_a_cluster(model: Model) -> None:
    with (
        start_server(cluster=True) as server,
        EmbeddingsCache(model, model="m", url=server.url, on_error="raise") as cache,
    ):
        assert isinstance(server, TestServer)
        texts = [f"{number}" for number in range(1500)]
        assert cache.embed(texts) == cache.embed(texts)
        assert len(model.asked) == 1
        assert cache.clear() == 1500


def test_settings_that_cannot_be_are_refused(cached: Open) -> None:
    for settings in (
        {"model": ""},
        {"model": None},
        {"version": 1},
        {"dtype": "float16"},
        {"on_error": "ignore"},
        {"embed": 1},
    ):
        with pytest.raises(ConfigurationError):
            cached(**settings)
    with pytest.raises(InvalidInputError, match="list"):
        cached().embed("text")
    with pytest.raises(InvalidInputError, match="text"):
        cached().embed([1])  # type: ignore[list-item]
