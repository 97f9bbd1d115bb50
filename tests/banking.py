"""BANKING77: real questions of bank customers with their intents and real embeddings, where the data is there.

The folder is named by ``VALKEY_VECTOR_DATA``, or lies beside the checkout. Nothing of it belongs to the project.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valkey_vector.records.record import Vector

FOLDER = Path(
    os.environ.get("VALKEY_VECTOR_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)
PRESENT = (FOLDER / "banking77.npz").exists()


@dataclass(frozen=True)
class Questions:
    """One half: texts, intents and embeddings of unit length, row by row."""

    texts: list[str]
    intents: list[str]
    vectors: NDArray[np.float32]


def questions(split: str, folder: Path | None = None) -> Questions:
    """The half ``train`` or ``test``."""
    chosen_folder = folder or FOLDER
    with (chosen_folder / "banking77.jsonl").open(encoding="utf-8", newline="\n") as file:
        lines: list[dict[str, Any]] = [json.loads(line) for line in file]
    chosen = [number for number, line in enumerate(lines) if line["split"] == split]
    vectors = np.load(chosen_folder / "banking77.npz", allow_pickle=False)["embeddings"][chosen]
    return Questions(
        [lines[n]["text"] for n in chosen], [lines[n]["intent"] for n in chosen], vectors
    )


def labelled_pairs(half: Questions) -> list[tuple[str, str, bool]]:
    """Each question with the nearest other one, as a cache would pair them, and whether they mean the same."""
    similar = half.vectors @ half.vectors.T
    np.fill_diagonal(similar, -2)
    nearest = np.argmax(similar, axis=1)
    return [
        (half.texts[a], half.texts[b], half.intents[a] == half.intents[b])
        for a, b in enumerate(nearest)
    ]


class Known:
    """Embeds the questions of both halves, from the stored embeddings."""

    def __init__(self, *halves: Questions) -> None:
        self._vectors = {
            text: vector
            for half in halves
            for text, vector in zip(half.texts, half.vectors, strict=True)
        }

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        return [self._vectors[text] for text in texts]
