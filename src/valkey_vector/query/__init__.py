"""Queries as values: what is asked of an index, apart from how it is answered."""

from valkey_vector.query.hybrid import Fusion, HybridQuery, ReciprocalRank, Weighted
from valkey_vector.query.text import Clause, Fuzzy, Phrase, Prefix, Term, TextQuery

__all__ = [
    "Clause",
    "Fusion",
    "Fuzzy",
    "HybridQuery",
    "Phrase",
    "Prefix",
    "ReciprocalRank",
    "Term",
    "TextQuery",
    "Weighted",
]
