"""The digest of the change log: by it a replica recognizes that it has missed a change.

The scripts compute the same in ``digest.lua``. The two files must agree; ``tests/integration/test_native_digest.py`` runs
both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIGESTS", "digest_of", "digest_of_all"]

_FACTORS = (67_108_859, 67_108_837)

DIGESTS = 1 << 52
"""Digests are below this number, so that Lua, whose numbers are doubles, adds them exactly."""


def digest_of(sequence: int) -> int:
    """Return what a sequence number adds to the digest: the function ``mix`` of the scripts."""
    return (sequence % _FACTORS[0]) * (sequence % _FACTORS[1])


def digest_of_all(sequences: NDArray[np.int64]) -> int:
    """Return what many sequence numbers add to the digest."""
    numbers = sequences.astype(np.uint64)
    first, second = (np.uint64(factor) for factor in _FACTORS)
    # The sum can exceed 64 bits; what it then loses is a multiple of DIGESTS.
    return int(((numbers % first) * (numbers % second)).sum(dtype=np.uint64)) % DIGESTS
