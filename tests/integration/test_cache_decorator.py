"""Decorated functions: the prompt, and the separation of calls and functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from valkey_vector import ConfigurationError
from valkey_vector.cache import SemanticCache


def test_a_decorated_function_is_called_once_for_each_combination_of_arguments(
    cache: SemanticCache,
) -> None:
    calls = []

    @cache.cached()
    def ask(question: str, model: str = "small", *, temperature: float = 0) -> str:
        """Ask a model."""
        calls.append((question, model, temperature))
        return f"{model}: {question}"

    assert ask.__doc__ == "Ask a model."
    for _ in range(2):
        assert ask("what @0") == "small: what @0"
        assert ask("what @5", "small") == "small: what @0"
        assert ask(question="what @0", model="large") == "large: what @0"
        assert ask("what @0", temperature=1) == "small: what @0"
    assert calls == [("what @0", "small", 0), ("what @0", "large", 0), ("what @0", "small", 1)]


def test_a_decorated_method_can_choose_prompt_and_scope(cache: SemanticCache) -> None:
    calls = []

    class Bot:
        @cache.cached(prompt="text", scope=lambda self, tenant, text: {"tenant": tenant}, ttl=60)
        def ask(self, tenant: str, text: str) -> str:
            calls.append((tenant, text))
            return text.upper()

    for bot in (Bot(), Bot()):
        assert [bot.ask(tenant, "hi") for tenant in ("a", "b", "a")] == ["HI"] * 3
    assert calls == [("a", "hi"), ("b", "hi")]
    with pytest.raises(ConfigurationError, match="no parameter 'query'"):
        cache.cached(prompt="query")(lambda text: text)


def test_functions_and_arguments_of_any_kind_are_distinguished(cache: SemanticCache) -> None:
    @cache.cached()
    def upper(text: str) -> str:
        return text.upper()

    @cache.cached()
    def title(text: str) -> str:
        return text.title()

    assert [upper("hi"), title("hi"), upper("hi")] == ["HI", "Hi", "HI"]

    @cache.cached()
    def ask(text: str, model: str, /, **options: Any) -> str:
        return f"{model} {options}"

    for _ in range(2):
        assert ask("hi", "a", model="x") == "a {'model': 'x'}"
        assert ask("hi", "b", model="x") == "b {'model': 'x'}"


def test_what_belongs_to_an_object_needs_a_scope(cache: SemanticCache) -> None:
    class Bot:
        def ask(self, text: str) -> str:
            return text

        @classmethod
        def answer(cls, text: str) -> str:
            return text

    functions: list[Callable[..., str]] = [Bot.ask, Bot().ask, Bot.answer, partial(Bot.ask, Bot())]
    for function in functions:
        with pytest.raises(ConfigurationError, match="explicit scope="):
            cache.cached()(function)
    assert cache.cached(scope={"bot": 1})(Bot().ask)("hi") == "hi"


async def test_a_decorated_coroutine_function_is_awaited(cache: SemanticCache) -> None:
    calls = []

    @cache.cached(tokens=len)
    async def ask(question: str, **options: Any) -> str:
        calls.append(question)
        await asyncio.sleep(0.05)
        return question.upper()

    answers = await asyncio.gather(*(ask("hi", seed=1) for _ in range(10)), ask("hi", seed=2))
    assert answers == ["HI"] * 11
    assert calls == ["hi", "hi"]
    assert cache.stats().saved_tokens == 18
