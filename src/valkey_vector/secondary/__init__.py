"""Secondary indexes on plain Valkey: small classes on sorted sets, sets, lists and hashes.

They need no search module. Each index is stored in one cluster slot, and each change is one script call. So any number of
clients can write at the same time.
"""

from valkey_vector.secondary._bounds import Page
from valkey_vector.secondary._columns import Column, ColumnValue
from valkey_vector.secondary._numbers import Number
from valkey_vector.secondary._patterns import Order, Triple, Variable
from valkey_vector.secondary._report import Problem, Report
from valkey_vector.secondary._zorder import Coordinate, Dimension
from valkey_vector.secondary.completion import Completion, Suggestion
from valkey_vector.secondary.composite import CompositeIndex
from valkey_vector.secondary.graph import PropertyGraph, Relation
from valkey_vector.secondary.lexical import LexicalIndex
from valkey_vector.secondary.numeric import NumericIndex
from valkey_vector.secondary.random_set import RandomSet
from valkey_vector.secondary.recent_list import RecentList
from valkey_vector.secondary.rotation import Lease, Rotation
from valkey_vector.secondary.spatial import BoxResult, Neighbor, SpatialIndex
from valkey_vector.secondary.triples import TripleStore

__all__ = [
    "BoxResult",
    "Column",
    "ColumnValue",
    "Completion",
    "CompositeIndex",
    "Coordinate",
    "Dimension",
    "Lease",
    "LexicalIndex",
    "Neighbor",
    "Number",
    "NumericIndex",
    "Order",
    "Page",
    "Problem",
    "PropertyGraph",
    "RandomSet",
    "RecentList",
    "Relation",
    "Report",
    "Rotation",
    "SpatialIndex",
    "Suggestion",
    "Triple",
    "TripleStore",
    "Variable",
]
