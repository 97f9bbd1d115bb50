"""Put a semantic cache in front of a slow model: `python cookbook/semantic_cache.py`.

The model is a fake one that sleeps, unless --model names a LangChain chat model. The embedding is latent semantic analysis,
fitted on the Python language reference and the questions below, so nothing is downloaded. Without --url the program starts a
private Valkey server, which ends with it. Needs ``valkey-vector[quickstart]``.

    python cookbook/semantic_cache.py
    python cookbook/semantic_cache.py --url valkey://localhost:6379 --seconds 2
    python cookbook/semantic_cache.py --model langchain_openai.ChatOpenAI --model-options '{"model": "…"}'
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable
from importlib import import_module
from itertools import combinations

from quickstart import LsaEmbeddings, passages

from valkey_vector.cache import SemanticCache

# The questions of a line mean the same, so one answer serves all of them.
QUESTIONS = [
    ["How do I catch an exception?", "How can I catch an exception that was raised?", "Catching exceptions: how?"],
    ["How do I open a file for reading?", "How can I open a file to read it?", "Opening a file for reading, how?"],
    ["What does the yield keyword do?", "What is the yield keyword for?", "What does yield mean, the keyword?"],
    ["How are default arguments evaluated?", "When are default arguments evaluated?", "Evaluation of default arguments?"],
    ["What is a context manager?", "What is a context manager in Python?", "Explain context manager"],
    ["How do I format a floating point number?", "How can I format a floating point number?", "Format floating point numbers"],
    ["What is a metaclass?", "What is a metaclass in Python?", "Explain what a metaclass is"],
    ["How do I compare two strings?", "How can I compare strings?", "Comparing two strings: how?"],
    ["How do I import a module by its name?", "How can I import a module by name?", "Import a module by its name"],
    ["What is the global statement for?", "What does the global statement do?", "Explain the global statement"],
    ["How does slicing of a list work?", "How do slices of a list work?", "Explain slicing of a list"],
    ["How do I define a coroutine?", "How can I define a coroutine function?", "Define a coroutine: how?"],
]  # fmt: skip


def labeled(lines: list[list[str]]) -> list[tuple[str, str, bool]]:
    """Return all pairs of questions, each with True if both mean the same."""
    numbered = [(number, text) for number, line in enumerate(lines) for text in line]
    return [(a, b, m == n) for (m, a), (n, b) in combinations(numbered, 2)]


def chosen_model(arguments: argparse.Namespace) -> Callable[[str], str]:
    """Return a function that answers a question: a slow fake, or a real model."""
    if arguments.model is None:

        def sleep_and_answer(question: str) -> str:
            time.sleep(arguments.seconds)
            return f"(an answer that took {arguments.seconds:g} s: {question})"

        return sleep_and_answer
    module, _, name = arguments.model.rpartition(".")
    try:
        model = getattr(import_module(module), name)(**json.loads(arguments.model_options))
        ask = model.invoke
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        sys.exit(f"--model {arguments.model}: {error}")
    return lambda question: str(ask(question).content)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="a Valkey server; by default VALKEY_URL or a private one")
    parser.add_argument("--seconds", type=float, default=0.5, help="time the fake model sleeps")
    parser.add_argument("--model", metavar="MODULE.CLASS", help="a LangChain chat model")
    parser.add_argument("--model-options", metavar="JSON", default="{}", help="its arguments")
    parser.add_argument("--precision", type=float, default=0.95, help="precision of hits, 0 to 1")
    arguments = parser.parse_args()
    model = chosen_model(arguments)

    texts = [passage.page_content for passage in passages()]
    lsa = LsaEmbeddings([*texts, *(text for line in QUESTIONS for text in line)])
    name = f"cookbook_cache_{uuid.uuid4().hex[:8]}"
    with SemanticCache(
        lsa.embed_query,
        name=name,
        url=arguments.url,
        scope={"model": arguments.model or "fake", "temperature": 0},
        ttl=3600,
        max_entries=10_000,
    ) as cache:
        try:
            calibrate(cache, arguments.precision)
            ask_all(cache, model)
        finally:
            cache.drop()


def calibrate(cache: SemanticCache, precision: float) -> None:
    """Set the threshold that calibration on half of the labeled questions proposes."""
    calibration = cache.calibrate(labeled(QUESTIONS[::2]), precision=precision)
    print(f"Calibrated on {calibration.pairs} labeled pairs for a precision of {precision}:\n")
    print(calibration)
    cache.threshold = calibration.threshold


def ask_all(cache: SemanticCache, model: Callable[[str], str]) -> None:
    """Look up the other half: every question of a line, then its first one again."""
    print(f"\nLookups with a threshold of {cache.threshold:.3f}:\n")
    lines = QUESTIONS[1::2]
    lookups = [(line[0], text) for line in lines for text in [*line, line[0]]]
    right = wrong = 0
    for meant, question in lookups:
        began = time.perf_counter()
        hit = cache.lookup(question)
        if hit is None:
            # Of concurrent calls with this question, one calls the model and all get its answer.
            cache.get_or_compute(question, model)
            found = "miss"
        else:
            found = "exact hit" if hit.exact else f"hit, {hit.similarity:.3f} to {hit.prompt!r}"
            same = any(meant == line[0] and hit.prompt in line for line in lines)
            right, wrong = right + same, wrong + (not same)
        print(f"   {1000 * (time.perf_counter() - began):7.1f} ms  {question}  [{found}]")
    stats = cache.stats()
    print(f"\n{right} hits were right, {wrong} were wrong; {cache.count()} answers are stored.")
    print(
        f"Exact hits {stats.exact_hits}, semantic hits {stats.semantic_hits}, stored {stats.stores}"
    )
    print(f"Saved {stats.saved_seconds:.1f} seconds of waiting for the model.")


if __name__ == "__main__":
    main()
