"""Haystack document stores of one test, closed at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from haystack_integrations.document_stores.valkey import ValkeyDocumentStore

MakeStore = Callable[..., ValkeyDocumentStore]


@contextmanager
def opener(**given: Any) -> Iterator[MakeStore]:
    """Creates stores with these settings, by default of four dimensions."""
    with ExitStack() as stack:

        def make(**settings: Any) -> ValkeyDocumentStore:
            store = ValkeyDocumentStore(**{"embedding_dim": 4, **given, **settings})
            stack.callback(store.close)
            return store

        yield make
