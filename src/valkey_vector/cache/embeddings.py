"""`EmbeddingsCache`: the vectors of texts, made once for each model."""

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
from valkey_vector.concurrency.async_versions import twin
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
    """What is known of the texts of one call, and what has to be embedded."""

    texts: list[str]
    found: Mapping[str, list[float]]
    reachable: bool

    @property
    def missing(self) -> list[str]:
        return [text for text in dict.fromkeys(self.texts) if text not in self.found]


class EmbeddingsCache(Connected):
    """Embeds texts, each only once for a model and its version; it is itself an embedder, blocking and awaited.

    One round trip brings what is there, one stores what was not (each for a thousand texts). What comes from the cache is what
    came when the text was embedded: with ``float64`` exactly the model's numbers; with ``float32``, half as big, the
    model's numbers rounded to float32, from the first time on. (Vector stores hold float32 in any case.)

    Args:
        embed: makes the vectors: a function of one text (blocking or a coroutine function), or an object with
            ``embed(texts)``, ``aembed(texts)`` or both (see `valkey_vector.cache.embedder`).
        model: the model's name, part of every key: no model ever gets another's vectors.
        version: of the model, or of whatever else its vectors depend on (prefix, normalisation, dimensions).
        dtype: ``float64`` or ``float32``, how the numbers are kept.
        name: caches of different names never meet; any non-empty text.
        ttl: seconds that a vector is kept; None keeps it.
        on_error: what happens when the server fails: ``miss`` goes on without the cache, logs one warning and
            counts the failure; ``raise`` raises. What the model raises is raised in any case.
        url: the server; see `Connected`.
        connection: an open one to share instead.

    Raises:
        ConfigurationError: a setting is wrong.
        InvalidInputError: `ttl` is no positive number.
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
        super().__init__(url=url, connection=connection)

    @property
    def failures(self) -> int:
        """How often the server failed this process, and it went on without."""
        return self._count.count

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of texts, one for each, in that order; those that are not cached are made, and kept.

        Raises:
            InvalidInputError: a text is none, or the model made what is no vector. Nothing was kept.
            ConfigurationError: the model's vectors have another dimension than those cached for it.
            ServerError: the server failed, with ``on_error="raise"``.
        """
        plan = self._looked_up(texts)
        made = self._embedder.embed(plan.missing) if plan.missing else []
        return self._completed(plan, made)

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        """`embed`, awaited; so is the model, if it can be."""
        plan = await offload(self._looked_up, texts)
        made = await self._embedder.aembed(plan.missing) if plan.missing else []
        return await offload(self._completed, plan, made)

    def mget(self, texts: Sequence[str]) -> list[list[float] | None]:
        """The cached vectors of texts, in that order; None for one that is not cached. Embeds nothing."""
        plan = self._looked_up(texts)
        return [plan.found.get(text) for text in plan.texts]

    def mset(self, pairs: Mapping[str, Vector]) -> None:
        """Keep vectors of texts, made elsewhere by the same model.

        Raises:
            InvalidInputError: one is no vector of finite numbers, or they differ in dimension. Nothing was kept.
        """
        texts = check_texts(pairs, "text")
        packed = {text: self._packed(text, pairs[text]) for text in texts}
        if len({len(data) for data in packed.values()}) > 1:
            raise InvalidInputError("the vectors differ in dimension; one model makes them of one")
        self._keep(packed)

    def delete(self, texts: Sequence[str]) -> int:
        """Forget the vectors of texts; returns how many there were. A failing server raises."""
        removed = 0
        for part in in_parts(dict.fromkeys(check_texts(texts, "text"))):
            commands: list[list[Argument]] = [["UNLINK", self._key(text)] for text in part]
            removed += sum(succeeded(self._connection.pipeline(commands)))
        return removed

    def clear(self) -> int:
        """Forget every vector of this model and version; returns how many there were. A failing server raises."""
        return self._keys.remove(self._connection, f"{self._mark}:")

    amget = twin(mget)
    amset = twin(mset)
    adelete = twin(delete)
    aclear = twin(clear)

    def _key(self, text: str) -> bytes:
        return self._keys.key(f"{self._mark}:{_digest(text)}")

    def _looked_up(self, texts: Sequence[str]) -> _Plan:
        listed = check_texts(texts, "text")
        found: dict[str, list[float]] = {}
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

    def _completed(self, plan: _Plan, made: Sequence[Vector]) -> list[list[float]]:
        packed = {
            text: self._packed(text, vector)
            for text, vector in zip(plan.missing, made, strict=True)
        }
        vectors = {**plan.found, **{t: self._unpacked(t, data) for t, data in packed.items()}}
        if len({len(vector) for vector in vectors.values()}) > 1:
            raise ConfigurationError(
                f"the vectors of model {self._model!r} differ in dimension, some of them cached: what makes them has "
                "changed, so give it another version="
            )
        if packed and plan.reachable:
            self._keep(packed)
        return [list(vectors[text]) for text in plan.texts]

    def _keep(self, packed: Mapping[str, bytes]) -> None:
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
        """The vector that was kept; None, with a failure noted, if something else lies there."""
        try:
            return self._unpacked(text, data)
        except ServerError as error:
            self._failures.note(error)
            return None

    def _packed(self, text: str, vector: Vector) -> bytes:
        """A vector as it is kept."""
        try:
            with np.errstate(over="ignore"):
                row = np.asarray(vector, dtype=self._type)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(f"the vector of text {text[:40]!r} is none: {error}") from None
        if row.ndim != 1 or not row.size or not np.isfinite(row).all():
            raise InvalidInputError(
                f"the vector of text {text[:40]!r} must be a non-empty list of finite {self._type.name} numbers"
            )
        data: bytes = row.tobytes()
        return data

    def _unpacked(self, text: str, data: bytes) -> list[float]:
        """The vector that was kept.

        Raises:
            ServerError: something else wrote it.
        """
        if data and len(data) % self._type.itemsize == 0:
            row = np.frombuffer(data, dtype=self._type)
            if np.isfinite(row).all():
                vector: list[float] = row.tolist()
                return vector
        raise ServerError(
            f"what is cached for text {text[:40]!r} is no vector of {self._type.name}"
        )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
