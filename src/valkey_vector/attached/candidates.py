"""Searches of an attached index without a vector: compile a choice, and iterate over the keys that can match."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from valkey_vector.attached.documents import scan
from valkey_vector.attached.filters import AttributeFilter, everything
from valkey_vector.attached.sending import Sender
from valkey_vector.attached.text import terms_query
from valkey_vector.connection import Argument, Feature, SearchModule
from valkey_vector.errors import UnsupportedFeatureError
from valkey_vector.filters.ast import Always, Filter

__all__ = ["Candidates", "Choice", "found_in"]

_MAX_FOUND = 100_000
"""Maximum number of keys that one query without a vector fetches, if the server sets no lower limit."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Selection of documents.

    Attributes:
        filter: filter that the documents match; None selects all.
        words: text attribute -> text, all of whose terms the documents contain.
    """

    filter: Filter | None
    words: Mapping[str, str] | None


class Candidates:
    """Finds the keys of documents that can match. Thread-safe.

    Args:
        sender: sends the requests of the index.

    Attributes:
        support: state of the server.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._capabilities = sender.connection.capabilities
        self._definition = sender.definition
        self.support = sender.support

    def selection(self, chosen: Choice) -> AttributeFilter:
        """Compile a choice."""
        terms: str | None = None
        if chosen.words:
            self._capabilities.require(Feature.TEXT)
            terms = terms_query(chosen.words, self._definition)
        compiled = AttributeFilter.of(
            Always() if chosen.filter is None else chosen.filter,
            self._definition,
            max_bytes=self._capabilities.max_query_bytes - 256 - len((terms or "").encode()),
            max_terms=self._capabilities.max_query_terms - (terms or "").count("@") - 1,
            list_paths=self._capabilities.module is SearchModule.REDISEARCH,
        )
        if not chosen.words:
            return compiled
        if terms is None:
            return replace(compiled, nothing=True)
        query = terms if compiled.query is None else f"({terms} {compiled.query})"
        return replace(compiled, query=query, indispensable=True)

    def keys(self, selection: AttributeFilter) -> Iterator[list[bytes]]:
        """Iterate over batches of keys that include all documents that match.

        Raises:
            UnsupportedFeatureError: more documents match the query than the server returns, and a scan of all keys would
                find others.
        """
        if selection.nothing:
            return
        query = self.query(selection)
        if query is not None:
            keys = self.all_keys(query)
            if keys is not None:
                yield keys
                return
        if self._definition.condition is not None or selection.indispensable:
            raise UnsupportedFeatureError(
                f"selecting as many documents as the server's limit on a query ({self.support.cap or _MAX_FOUND:,})",
                f"index {self._definition.name!r}",
                "a filter that selects fewer documents",
            )
        yield from scan(self._sender)

    def all_keys(self, query: str) -> list[bytes] | None:
        """Return all keys that a query selects; None if there are more than the server returns."""
        limit = max(1, self.total(query))
        while limit <= min(_MAX_FOUND, self.support.safe_total):
            reply = self._sender.search(self._select_command(query, limit))
            if int(reply[0]) <= limit:
                return list(found_in(reply))
            limit = int(reply[0])  # documents were written in the meantime
        return None

    def query(self, selection: AttributeFilter) -> str | None:
        """Query that selects the documents without a vector; None if the server does not support such queries."""
        if not self._capabilities.filter_queries:
            return None
        if selection.query is not None:
            return selection.query
        query = everything(self._definition.attributes, secrets.token_hex(16))
        if query is None and self._definition.condition is not None:
            return "*"  # a server with FILTER (RediSearch) accepts it, and a scan would find other documents
        return query

    def total(self, query: str) -> int:
        """Return the number of keys that a query selects. Expired keys are included until the server removes them."""
        return int(self._sender.search(self._select_command(query, 0))[0])

    def _select_command(self, query: str, count: int) -> list[Argument]:
        command: list[Argument] = ["FT.SEARCH", self._definition.name, query]
        if count:
            command.append("NOCONTENT")
        return [*command, "LIMIT", "0", str(count), "DIALECT", "2"]


def found_in(reply: Any) -> Mapping[bytes, Any]:
    """Documents in a reply to FT.SEARCH: key -> fields, in the same order."""
    found: Mapping[bytes, Any] = reply[1] if len(reply) > 1 else {}
    return found
