"""`EmbeddingsCache`: caches the vectors of texts for each model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from valkey_vector.cache.embedder import Embed, TextEmbedder
from valkey_vector.cache.failure_count import FailureCount
from valkey_vector.cache.failures import Failures, OnError
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.errors import ConfigurationError, InvalidInputError, ServerError
from valkey_vector.records.record import Vector
from valkey_vector.storage.keyspace import Keyspace, check_texts, in_parts, lifetime, succeeded

__all__ = ["EmbeddingsCache"]

_TYPES: dict[str, np.dtype[np.floating[Any]]] = {
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
}


@dataclass(frozen=True, slots=True)
class _Plan:
    """Texts of one call, with the vectors found in the cache."""

    texts: list[str]
    found: Mapping[str, list[float]]
    reachable: bool

    @property
    def missing(self) -> list[str]:
        return [text for text in dict.fromkeys(self.texts) if text not in self.found]


class EmbeddingsCache(Connected):
    """Embedder that computes the vector of a text once for each model and version, and caches it.

    The first call and later calls return the same numbers. ``float64`` stores exactly the numbers of the model.
    ``float32`` stores them in half the space, rounded from the first call on. Vector stores use float32 in any case.

    Args:
        embed: the embedder: a function of one text (blocking or a coroutine function), or an object with
            ``embed(texts)``, ``aembed(texts)`` or both (see `valkey_vector.cache.embedder`).
        model: name of the model. Part of each key, so models never share vectors.
        version: version of the model, or of anything else its vectors depend on (prefix, normalization, dimensions).
        dtype: type of the stored numbers, ``float64`` or ``float32``.
        name: any non-empty text. Caches with different names do not share vectors.
        ttl: time to live of a vector in seconds, > 0. None: vectors do not expire.
        on_error: behavior when the server fails. ``miss`` continues without the cache, logs one warning and counts
            the failure; ``raise`` raises the error. Errors of the model are always raised.
        url: the server; see `Connected`.
        connection: an open connection to use instead. It is not closed with the cache.

    Raises:
        ConfigurationError: a setting is wrong.
        InvalidInputError: `ttl` is not a positive number.

    Cost: for each 1000 texts, one round trip to read, and one to store the missing vectors.
    """

    def __init__(
        self,
        embed: Embed,
        *,
        model: str,
        version: str = "",
        dtype: Literal["float64", "float32"] = "float64",
        name: str = "embeddings",
        ttl: float | None = None,
        on_error: OnError = "miss",
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        if not isinstance(model, str) or not model or not isinstance(version, str):
            raise ConfigurationError("model must be non-empty text, and version text")
        if dtype not in _TYPES:
            raise ConfigurationError(f"dtype must be 'float64' or 'float32', not {dtype!r}")
        self._embedder = TextEmbedder(embed)
        self._model = model
        self._mark = _digest(json.dumps([model, version, dtype]))
        self._type = _TYPES[dtype]
        self._keys = Keyspace("embeddings", name)
        self._milliseconds = lifetime(ttl)
        self._count = FailureCount()
        self._failures = Failures(name, on_error, self._count)
        super().__init__(name, url=url, connection=connection)

    @property
    def failures(self) -> int:
        """Number of operations of this process that continued without the cache because the server failed."""
        return self._count.count

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text, in the same order. Computes and stores the missing vectors.

        Raises:
            InvalidInputError: a text is not text, or the model returned an invalid vector. Nothing was stored.
            ConfigurationError: the model's vectors have another dimension than its cached vectors.
            ServerError: the server failed, with ``on_error="raise"``.
        """
        plan = self._looked_up(texts)
        computed = self._embedder.embed(plan.missing) if plan.missing else []
        return self._completed(plan, computed)

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """Async version of `embed`. Awaits the model if it has an async method."""
        plan = await offload(self._looked_up, texts)
        computed = await self._embedder.aembed(plan.missing) if plan.missing else []
        return await offload(self._completed, plan, computed)

    def mget(self, texts: Sequence[str]) -> list[list[float] | None]:
        """Return the cached vectors of texts, in the same order. None for a text that is not cached."""
        plan = self._looked_up(texts)
        return [plan.found.get(text) for text in plan.texts]

    def mset(self, pairs: Mapping[str, Vector]) -> None:
        """Store vectors of texts that the same model computed elsewhere.

        Raises:
            InvalidInputError: a vector is not a list of finite numbers, or the dimensions differ. Nothing was stored.
        """
        texts = check_texts(pairs, "text")
        packed = {text: self._packed(text, pairs[text]) for text in texts}
        if len({len(data) for data in packed.values()}) > 1:
            raise InvalidInputError("the vectors differ in dimension: pass vectors of one model")
        self._store_packed(packed)

    def delete(self, texts: Sequence[str]) -> int:
        """Remove the vectors of texts. Returns the number of removed vectors. Raises if the server fails."""
        removed = 0
        for part in in_parts(dict.fromkeys(check_texts(texts, "text"))):
            commands: list[list[Argument]] = [["UNLINK", self._key(text)] for text in part]
            removed += sum(succeeded(self._connection.pipeline(commands)))
        return removed

    def clear(self) -> int:
        """Remove all vectors of this model and version. Returns their number. Raises if the server fails."""
        return self._keys.remove(self._connection, f"{self._mark}:")

    amget = async_version(mget)
    amset = async_version(mset)
    adelete = async_version(delete)
    aclear = async_version(clear)

    def _key(self, text: str) -> bytes:
        return self._keys.key(f"{self._mark}:{_digest(text)}")

    def _looked_up(self, texts: Sequence[str]) -> _Plan:
        listed = check_texts(texts, "text")
        found: dict[str, list[float]] = {}
        if self._failures.resting():
            return _Plan(listed, {}, reachable=False)
        try:
            for part in in_parts(dict.fromkeys(listed)):
                commands: list[list[Argument]] = [["GET", self._key(text)] for text in part]
                replies = succeeded(self._connection.pipeline(commands, retry=True))
                for text, data in zip(part, replies, strict=True):
                    vector = None if data is None else self._readable(text, data)
                    if vector is not None:
                        found[text] = vector
        except ServerError as error:
            self._failures.note(error)
            return _Plan(listed, {}, reachable=False)
        self._failures.works()
        return _Plan(listed, found, reachable=True)

    def _completed(self, plan: _Plan, computed: Sequence[Vector]) -> list[list[float]]:
        packed = {
            text: self._packed(text, vector)
            for text, vector in zip(plan.missing, computed, strict=True)
        }
        vectors = {**plan.found, **{t: self._unpacked(t, data) for t, data in packed.items()}}
        if len({len(vector) for vector in vectors.values()}) > 1:
            raise ConfigurationError(
                f"the vectors of model {self._model!r} and its cached vectors differ in dimension, so the model has "
                "changed: pass another version="
            )
        if packed and plan.reachable:
            self._store_packed(packed)
        return [list(vectors[text]) for text in plan.texts]

    def _store_packed(self, packed: Mapping[str, bytes]) -> None:
        ending = [] if self._milliseconds is None else ["PX", str(self._milliseconds)]
        try:
            for part in in_parts(packed.items(), weigh=lambda pair: len(pair[1])):
                commands: list[list[Argument]] = [
                    ["SET", self._key(text), data, *ending] for text, data in part
                ]
                succeeded(self._connection.pipeline(commands))
        except ServerError as error:
            self._failures.note(error)

    def _readable(self, text: str, data: bytes) -> list[float] | None:
        """Decode a stored vector. Counts a failure and returns None if another program wrote the value."""
        try:
            return self._unpacked(text, data)
        except ServerError as error:
            self._failures.note(error)
            return None

    def _packed(self, text: str, vector: Vector) -> bytes:
        """Encode a vector for storage."""
        try:
            with np.errstate(over="ignore"):
                row = np.asarray(vector, dtype=self._type)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(
                f"the vector of text {text[:40]!r} is not a list of numbers: {error}"
            ) from None
        if row.ndim != 1 or not row.size or not np.isfinite(row).all():
            raise InvalidInputError(
                f"the vector of text {text[:40]!r} must be a non-empty list of finite {self._type.name} numbers"
            )
        data: bytes = row.tobytes()
        return data

    def _unpacked(self, text: str, data: bytes) -> list[float]:
        """Decode a stored vector.

        Raises:
            ServerError: another program wrote the value.
        """
        if data and len(data) % self._type.itemsize == 0:
            row = np.frombuffer(data, dtype=self._type)
            if np.isfinite(row).all():
                vector: list[float] = row.tolist()
                return vector
        raise ServerError(
            f"the cached value of text {text[:40]!r} is not a {self._type.name} vector: another program wrote it, "
            "so delete the text from the cache"
        )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
