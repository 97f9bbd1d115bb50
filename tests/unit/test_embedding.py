"""Embedders: functions and objects, blocking and not, one text or many."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from valkey_vector import ConfigurationError
from valkey_vector.cache.embedder import TextEmbedder
from valkey_vector.records.record import Vector


def of_text(text: str) -> Vector:
    return [float(len(text))]


async def awaited_of_text(text: str) -> Vector:
    return [float(len(text))]


class Awaited:
    async def __call__(self, text: str) -> Vector:
        return [float(len(text))]


class Both:
    def embed(self, texts: Sequence[str]) -> list[Vector]:
        return [[1.0] for _ in texts]

    async def aembed(self, texts: Sequence[str]) -> list[Vector]:
        return [[2.0] for _ in texts]


async def test_a_function_serves_both_forms() -> None:
    embedder = TextEmbedder(of_text)
    assert embedder.embed(["a", "bb"]) == [[1.0], [2.0]]
    assert await embedder.aembed(["a", "bb"]) == [[1.0], [2.0]]


async def test_a_blocking_function_runs_off_the_loop() -> None:
    threads = []

    def embed(text: str) -> Vector:
        threads.append(threading.current_thread())
        return [1.0]

    await TextEmbedder(embed).aembed(["a"])
    assert threads != [threading.main_thread()]


@pytest.mark.parametrize("function", [awaited_of_text, Awaited()], ids=["function", "object"])
async def test_a_coroutine_function_serves_the_asynchronous_form_only(function: Any) -> None:
    embedder = TextEmbedder(function)
    assert await embedder.aembed(["a", "bb"]) == [[1.0], [2.0]]
    with pytest.raises(ConfigurationError, match="asynchronous only"):
        embedder.embed(["a"])


async def test_an_object_with_both_forms_is_used_by_both() -> None:
    embedder = TextEmbedder(Both())
    assert embedder.embed(["a"]) == [[1.0]]
    assert await embedder.aembed(["a"]) == [[2.0]]


@pytest.mark.parametrize("embed", [None, 3, "text", object()])
def test_what_cannot_embed_is_refused(embed: Any) -> None:
    with pytest.raises(ConfigurationError, match="embed must be"):
        TextEmbedder(embed)


def test_one_vector_too_few_is_an_error() -> None:
    class Short:
        def embed(self, texts: Sequence[str]) -> list[Vector]:
            return [[1.0]]

    with pytest.raises(ConfigurationError, match="1 vectors for 2 texts"):
        TextEmbedder(Short()).embed(["a", "b"])
