"""Haystack's checker and writer: in pipelines, awaited, written down, and without a server."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.joiners import BranchJoiner
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.utils import Secret

from caches import vector_of
from haystack_integrations.components.caching.valkey import (
    ValkeySemanticCache,
    ValkeySemanticCacheChecker,
    ValkeySemanticCacheWriter,
)
from haystack_versions import FunctionTextEmbedder
from servers import free_port

OpenCache = Callable[..., ValkeySemanticCache]


def degrees(text: str) -> list[float]:
    return vector_of(text)


@component
class Generator:
    """Answers with the question, and counts."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    @component.output_types(replies=list[ChatMessage])
    def run(self, query: str) -> dict[str, list[ChatMessage]]:
        self.calls.append(query)
        meta = {"usage": {"total_tokens": 12}, "model": "m"}
        return {"replies": [ChatMessage.from_assistant(query.upper(), meta=meta)]}


@pytest.fixture
def open_cache(server_url: str, index_name: str, engine_name: Any) -> Iterator[OpenCache]:
    caches: list[ValkeySemanticCache] = []

    def opened(**settings: Any) -> ValkeySemanticCache:
        asked = {"name": index_name, "url": server_url, "engine": engine_name, "threshold": 0.9}
        embedder = FunctionTextEmbedder(embedding_fn=degrees)
        caches.append(ValkeySemanticCache(embedder, **{**asked, **settings}))
        return caches[-1]

    yield opened
    for cache in caches:
        cache.close()


def pipeline(cache: ValkeySemanticCache, generator: Generator) -> Pipeline:
    built = Pipeline()
    built.add_component("checker", ValkeySemanticCacheChecker(cache))
    built.add_component("generator", generator)
    built.add_component("writer", ValkeySemanticCacheWriter(cache))
    built.add_component("answer", BranchJoiner(list[ChatMessage]))
    built.connect("checker.query", "generator.query")
    built.connect("checker.query", "writer.query")
    built.connect("generator.replies", "writer.replies")
    built.connect("checker.replies", "answer.value")
    built.connect("writer.replies", "answer.value")
    return built


def asked(query: str, scope: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"checker": {"query": query, "scope": scope}, "writer": {"scope": scope}}


def test_a_pipeline_generates_once_for_questions_that_mean_the_same(open_cache: OpenCache) -> None:
    generator = Generator()
    built = pipeline(open_cache(), generator)
    for query in ("what @0", "what @0", "near @5", "far @90"):
        answer = built.run(asked(query))["answer"]["value"]
        assert [reply.text for reply in answer] == ["FAR @90" if "far" in query else "WHAT @0"]
        assert answer[0].meta["model"] == "m"
    assert generator.calls == ["what @0", "far @90"]
    built.run(asked("what @0", {"tenant": "b"}))
    assert len(generator.calls) == 3


def test_a_hit_describes_itself(open_cache: OpenCache) -> None:
    cache = open_cache()
    checker, writer = ValkeySemanticCacheChecker(cache), ValkeySemanticCacheWriter(cache)
    assert checker.run("what @0") == {"query": "what @0"}
    assert writer.run("what @0", ["an answer"])["replies"][0].text == "an answer"
    hit = checker.run("near @5")["hit"]
    assert hit["similarity"] == pytest.approx(math.cos(math.radians(5)), abs=1e-6)
    assert (hit["query"], hit["exact"]) == ("what @0", False)
    assert set(checker.run("what @0")) == {"replies", "hit"}
    assert writer.run("none", []) == {"replies": []}
    assert cache.core.count() == 1


async def test_both_components_can_be_awaited(open_cache: OpenCache) -> None:
    cache = open_cache()
    checker, writer = ValkeySemanticCacheChecker(cache), ValkeySemanticCacheWriter(cache)
    assert await checker.run_async("what @0", {"t": 1}) == {"query": "what @0"}
    message = ChatMessage.from_assistant(
        "text", tool_calls=[ToolCall("f", {"a": [1]}, "id")], meta={"usage": {"total_tokens": 5}}
    )
    await writer.run_async("what @0", [message, message], {"t": 1})
    for query in ("what @0", "near @5"):
        assert (await checker.run_async(query, {"t": 1}))["replies"] == [message, message]
    assert (await cache.core.astats()).saved_tokens == 10


def test_a_pipeline_is_written_down_and_loaded(
    open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Haystack 3 loads only components of trusted modules; the embedder belongs to the tests.
    monkeypatch.setenv("HAYSTACK_DESERIALIZATION_ALLOWLIST", "haystack_versions")
    cache = open_cache(scope={"model": "m"}, ttl=60, max_entries=10)
    ValkeySemanticCacheWriter(cache).run("what @0", ["kept"])
    built = Pipeline()
    built.add_component("checker", ValkeySemanticCacheChecker(cache))
    built.add_component("writer", ValkeySemanticCacheWriter(cache))
    text = built.dumps()
    # The embedder's function lies in this module, which a real one's does not.
    written = built.to_dict()
    for name in ("checker", "writer"):
        inner = written["components"][name]["init_parameters"]["cache"]["init_parameters"]
        inner["text_embedder"]["init_parameters"].update(embedding_fn=None, dimension=4)
    loaded = Pipeline.from_dict(written)
    assert "password" in text
    assert loaded.to_dict() == written
    found = loaded.run({"checker": {"query": "what @0"}, "writer": {"query": "x", "replies": []}})
    assert found["checker"]["replies"][0].text == "kept"
    for name in ("checker", "writer"):
        made: Any = loaded.get_component(name)
        made.close()


def test_no_secret_is_written_down(open_cache: OpenCache) -> None:
    with pytest.raises(ValueError, match="password"):
        open_cache(url="valkey://:sesame@localhost").to_dict()
    with pytest.raises(ValueError, match=r"[Tt]oken"):
        open_cache(password=Secret.from_token("sesame")).to_dict()
    assert "sesame" not in str(open_cache(password=Secret.from_env_var("SESAME")).to_dict())


def test_a_pipeline_continues_without_a_server(open_cache: OpenCache) -> None:
    generator = Generator()
    cache = open_cache(url=f"valkey://127.0.0.1:{free_port()}", engine="auto")
    built = pipeline(cache, generator)
    for _ in range(2):
        assert built.run(asked("what @0"))["answer"]["value"][0].text == "WHAT @0"
    assert len(generator.calls) == 2


def test_warming_up_warms_the_embedder(open_cache: OpenCache) -> None:
    cache = open_cache()
    ValkeySemanticCacheChecker(cache).warm_up()
    assert cache._text_embedder.warmed_up  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"x": 1},
        [],
        [{}],
        ["text"],
        [None],
        [{"role": "nobody", "content": []}],
        "text",
        5,
        b"x",
    ],
    ids=str,
)
async def test_what_something_else_wrote_is_a_miss_and_removed(
    open_cache: OpenCache, data: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache = open_cache()
    checker = ValkeySemanticCacheChecker(cache)
    cache.core.store("what @0", data)
    assert checker.run("near @5") == {"query": "near @5"}
    assert "removing an unreadable entry" in caplog.text
    assert cache.core.count() == 0
    cache.core.store("what @0", data)
    assert await checker.run_async("what @0") == {"query": "what @0"}
    assert cache.core.count() == 0


async def test_a_reply_that_is_no_message_is_named(open_cache: OpenCache) -> None:
    writer = ValkeySemanticCacheWriter(open_cache())
    replies: Any = ["text", 5]
    with pytest.raises(ValueError, match="text or a ChatMessage, not 5"):
        writer.run("what @0", replies)
    with pytest.raises(ValueError, match="text or a ChatMessage, not 5"):
        await writer.run_async("what @0", replies)
