"""Concurrent callers compute an answer once; if something fails, they compute it anyway."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cache_processes import ask_at_once, compute_slowly, die_while_computing
from caches import Degrees
from round_trips import CommandLog
from valkey_vector import ConfigurationError, InvalidInputError
from valkey_vector.cache import SemanticCache
from valkey_vector.cache.storage import Claim
from valkey_vector.index.settings import EngineChoice

OpenCache = Callable[..., SemanticCache]

PROCESSES, THREADS = 4, 32


class Counted:
    """A slow function that counts its calls."""

    def __init__(self, seconds: float = 0.0, answer: Any = "made") -> None:
        self.calls = 0
        self.began = threading.Event()
        self._seconds = seconds
        self._answer = answer
        self._lock = threading.Lock()

    def __call__(self, prompt: str) -> Any:
        with self._lock:
            self.calls += 1
        self.began.set()
        time.sleep(self._seconds)
        return self._answer


def no_lock_is_left(cache: SemanticCache) -> bool:
    """Return True as soon as the condition holds, False if it never does."""
    deadline = time.monotonic() + 30
    while list(cache.index.connection.scan(f"*{cache.name}*making*")):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_an_answer_is_computed_once_and_found_afterwards(
    cache: SemanticCache, embedder: Degrees
) -> None:
    fn = Counted(answer={"a": [1]})
    asked = ["prompt @0", "prompt @0", "near @5"]
    assert [cache.get_or_compute(prompt, fn, {"t": 1}) for prompt in asked] == [{"a": [1]}] * 3
    assert fn.calls == 1
    assert embedder.asked == ["prompt @0", "near @5"]
    stats = cache.stats()
    assert (stats.exact_hits, stats.semantic_hits, stats.misses, stats.stores) == (1, 1, 1, 1)


def test_the_first_prompt_may_have_no_direction(open_cache: OpenCache) -> None:
    def embed(text: str) -> list[float]:
        return [text.count(letter) for letter in "aeiou"]

    cache = open_cache(embed=embed, dimension=None)
    fn = Counted()
    assert [cache.get_or_compute("Why?", fn) for _ in range(2)] == ["made"] * 2
    assert cache.get_or_compute("What?", fn) == "made"
    assert (fn.calls, cache.count()) == (2, 2)
    assert cache.index.info().dimension == 5


def test_none_is_an_answer(cache: SemanticCache) -> None:
    fn = Counted(answer=None)
    assert [cache.get_or_compute("prompt", fn) for _ in range(3)] == [None] * 3
    assert fn.calls == 1


def test_saved_seconds_and_tokens_are_counted(cache: SemanticCache) -> None:
    fn = Counted(seconds=0.2, answer="four words of text")
    for _ in range(3):
        cache.get_or_compute("prompt", fn, tokens=lambda answer: len(answer.split()))
    stats = cache.stats()
    assert 0.4 <= stats.saved_seconds < 60
    assert stats.saved_tokens == 8


def test_a_hit_through_get_or_compute_is_as_few_round_trips(
    cache: SemanticCache, commands: CommandLog
) -> None:
    cache.get_or_compute("prompt @0", Counted())
    cache.get_or_compute("near @5", Counted())
    for prompt, trips in (("prompt @0", 1), ("near @5", 2)):
        commands.clear()
        cache.get_or_compute(prompt, Counted())
        assert len(commands.round_trips) == trips


def test_concurrent_threads_of_four_processes_compute_once(
    server_url: str, index_name: str, engine_name: EngineChoice, open_cache: OpenCache
) -> None:
    tasks = [(server_url, index_name, engine_name, PROCESSES, THREADS)] * PROCESSES
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        answers = [answer for part in pool.starmap(ask_at_once, tasks) for answer in part]
    assert answers == [{"prompt": "new prompt @0", "call": 1}] * (PROCESSES * THREADS)
    stats = open_cache().stats()
    assert stats.misses == stats.stores == 1
    assert stats.hits == PROCESSES * THREADS - 1
    assert not list(open_cache().index.connection.scan(f"*{index_name}*making*"))


async def test_concurrent_tasks_compute_once(cache: SemanticCache) -> None:
    calls = 0

    async def compute(prompt: str) -> list[str]:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.3)
        return [prompt]

    asked = [cache.aget_or_compute("prompt @0", compute) for _ in range(100)]
    answers = await asyncio.gather(*asked)
    assert answers == [["prompt @0"]] * 100
    assert calls == 1
    assert len({id(answer) for answer in answers}) == 100  # nobody can change another's answer


async def test_tasks_and_threads_wait_for_each_other(cache: SemanticCache) -> None:
    fn = Counted(seconds=0.5)
    threads = [asyncio.to_thread(cache.get_or_compute, "prompt", fn) for _ in range(3)]
    tasks = [cache.aget_or_compute("prompt", fn) for _ in range(3)]
    assert await asyncio.gather(*threads, *tasks) == ["made"] * 6
    assert fn.calls == 1


async def test_the_loop_runs_while_a_blocking_function_computes(cache: SemanticCache) -> None:
    fn = Counted(seconds=0.5)
    task = asyncio.ensure_future(cache.aget_or_compute("prompt", fn))
    turns = 0
    while not task.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 3
    assert await task == "made"


def test_a_dead_process_blocks_others_no_longer_than_its_lease(
    server_url: str, index_name: str, engine_name: EngineChoice, open_cache: OpenCache
) -> None:
    arguments = (server_url, index_name, engine_name, 1.5)
    process = multiprocessing.get_context("spawn").Process(
        target=die_while_computing, args=arguments
    )
    process.start()
    process.join(60)
    cache = open_cache(wait=60)
    assert cache.index.connection.execute("GET", f"{index_name}-computing") == b"1"
    began = time.monotonic()
    assert cache.get_or_compute("prompt @0", Counted()) == "made"
    assert time.monotonic() - began < 50


def test_a_lock_is_kept_for_as_long_as_its_holder_computes(
    server_url: str, index_name: str, engine_name: EngineChoice, open_cache: OpenCache
) -> None:
    arguments = (server_url, index_name, engine_name, 2.0, 5.0)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        slow = pool.apply_async(compute_slowly, arguments)
        cache = open_cache(wait=60)
        deadline = time.monotonic() + 60
        while cache.index.connection.execute("GET", f"{index_name}-computing") is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        fn = Counted()
        assert cache.get_or_compute("prompt @0", fn) == "slow"
        assert fn.calls == 0
        assert slow.get(60) == "slow"


def test_no_caller_waits_longer_than_its_timeout(open_cache: OpenCache) -> None:
    began, answered = threading.Event(), threading.Event()

    def compute(_: str) -> str:
        began.set()
        assert answered.wait(60)
        return "slow"

    cache, another = open_cache(wait=0.3), open_cache(wait=0.3)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get_or_compute, "prompt", compute)
        assert began.wait(30)
        # Waits for another thread, and as another process would for the lock.
        for impatient in (cache, another):
            assert impatient.get_or_compute("prompt", Counted(answer="quick")) == "quick"
            impatient.invalidate(prompt="prompt")
        answered.set()
        assert first.result() == "slow"


def test_what_a_function_raises_is_raised_and_another_tries(cache: SemanticCache) -> None:
    calls = []

    def compute(_: str) -> str:
        calls.append(1)
        time.sleep(0.2)
        if len(calls) == 1:
            raise LookupError("no such thing")
        return "made"

    def ask(_: int) -> str:
        try:
            return str(cache.get_or_compute("prompt", compute))
        except LookupError as error:
            return str(error)

    with ThreadPoolExecutor(5) as pool:
        answers = sorted(pool.map(ask, range(5)))
    assert answers == [*["made"] * 4, "no such thing"]
    assert len(calls) == 2


async def test_a_cancelled_computation_lets_another_begin(cache: SemanticCache) -> None:
    began = asyncio.Event()

    async def never(_: str) -> str:
        began.set()
        await asyncio.sleep(3600)
        return "never"

    async def compute(_: str) -> str:
        return "made"

    first = asyncio.ensure_future(cache.aget_or_compute("prompt", never))
    await began.wait()
    second = asyncio.ensure_future(cache.aget_or_compute("prompt", compute))
    await asyncio.sleep(0.05)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await asyncio.wait_for(second, 10) == "made"


async def test_a_lock_that_is_granted_after_a_cancellation_is_released(
    cache: SemanticCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = cache._storage.claim
    asked = threading.Event()

    def slow_claim(*arguments: Any) -> Claim:
        claimed = claim(*arguments)
        asked.set()
        time.sleep(0.3)
        return claimed

    monkeypatch.setattr(cache._storage, "claim", slow_claim)
    task = asyncio.ensure_future(cache.aget_or_compute("prompt", str.upper))
    assert await asyncio.to_thread(asked.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(no_lock_is_left, cache)
    assert cache._answers._single_flight._held == {}


async def test_a_cancelled_waiter_leaves_the_computation_alone(cache: SemanticCache) -> None:
    began = asyncio.Event()

    async def compute(_: str) -> str:
        began.set()
        await asyncio.sleep(0.3)
        return "made"

    first = asyncio.ensure_future(cache.aget_or_compute("prompt", compute))
    await began.wait()
    waiter = asyncio.ensure_future(cache.aget_or_compute("prompt", compute))
    await asyncio.sleep(0.05)
    waiter.cancel()
    assert await first == "made"


def test_a_loop_that_ends_in_the_middle_leaves_no_lock_behind_for_ever(
    open_cache: OpenCache,
) -> None:
    cache = open_cache(lease=0.5)
    loop = asyncio.new_event_loop()
    began = asyncio.Event()

    async def never(_: str) -> None:
        began.set()
        await asyncio.sleep(3600)

    async def main() -> None:
        loop.create_task(cache.aget_or_compute("prompt", never))  # noqa: RUF006 - abandoned on purpose
        await began.wait()

    loop.run_until_complete(main())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    del task
    gc.collect()  # an abandoned task is a cycle of references
    began_again = time.monotonic()
    assert cache.get_or_compute("prompt", Counted()) == "made"
    assert time.monotonic() - began_again < 10
    assert "valkey-vector-lease" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("tokens", [-1, 2**63, 1.5, "3", True], ids=str)
def test_a_number_of_tokens_that_is_none_is_refused(cache: SemanticCache, tokens: Any) -> None:
    with pytest.raises(InvalidInputError, match="tokens must be"):
        cache.store("prompt", "answer", tokens=tokens)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), 10**400, "3", True])
def test_seconds_that_are_none_are_refused(cache: SemanticCache, seconds: Any) -> None:
    with pytest.raises(InvalidInputError, match="seconds must be"):
        cache.store("prompt", "answer", seconds=seconds)


@pytest.mark.parametrize("tokens", [lambda _: "3", lambda _: -1, lambda answer: answer["none"]])
def test_tokens_that_cannot_be_counted_are_not_known(
    cache: SemanticCache, caplog: pytest.LogCaptureFixture, tokens: Any
) -> None:
    fn = Counted()
    for _ in range(2):
        assert cache.get_or_compute("prompt", fn, tokens=tokens) == "made"
    assert fn.calls == 1
    assert caplog.text.count("the tokens of an answer are not known") == 1
    hit = cache.lookup("prompt")
    assert hit is not None
    assert hit.tokens is None


def test_an_asynchronous_function_needs_the_asynchronous_method(cache: SemanticCache) -> None:
    async def compute(_: str) -> str:
        return "made"

    with pytest.raises(ConfigurationError, match="asynchronous"):
        _ = cache.get_or_compute("prompt", compute)
    assert cache.get_or_compute("prompt", Counted()) == "made"


@pytest.mark.parametrize("answer", [(1,), object()], ids=["tuple", "object"])
def test_an_answer_that_cannot_be_stored_is_an_error(cache: SemanticCache, answer: Any) -> None:
    with pytest.raises(InvalidInputError, match="encode it first"):
        cache.get_or_compute("prompt", Counted(answer=answer))


def test_invalid_arguments_raise_before_anything_is_computed(cache: SemanticCache) -> None:
    fn = Counted()
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"a": deep}
    wrong: list[dict[str, Any]] = [
        {"scope": {"a": object()}},
        {"scope": deep},
        {"scope": {"a": "\ud800"}},
        {"metadata": {"scope": 1}},
        {"metadata": {"x": {1, 2}}},
        {"metadata": {"x": "\ud800"}},
        {"ttl": -1},
    ]
    for arguments in wrong:
        with pytest.raises((InvalidInputError, ConfigurationError)):
            cache.get_or_compute("prompt", fn, **arguments)
    with pytest.raises(InvalidInputError, match="prompt"):
        cache.get_or_compute(3, fn)  # type: ignore[arg-type]
    assert fn.calls == 0
