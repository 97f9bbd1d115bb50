"""Secondary indexes on plain Valkey: small classes over sorted sets, sets, lists and hashes, for data of any kind.

They need no search module. Each lies in one slot of a cluster, and each change is one script, so any number of
threads and processes may write.
"""

from valkey_vector.secondary._bounds import Page
from valkey_vector.secondary._columns import Column, ColumnValue
from valkey_vector.secondary._numbers import Number
from valkey_vector.secondary._report import Problem, Report
from valkey_vector.secondary._zorder import Coordinate, Dimension
from valkey_vector.secondary.composite import CompositeIndex
from valkey_vector.secondary.lexical import LexicalIndex
from valkey_vector.secondary.numeric import NumericIndex
from valkey_vector.secondary.spatial import BoxResult, Neighbor, SpatialIndex

__all__ = [
    "BoxResult",
    "Column",
    "ColumnValue",
    "CompositeIndex",
    "Coordinate",
    "Dimension",
    "LexicalIndex",
    "Neighbor",
    "Number",
    "NumericIndex",
    "Page",
    "Problem",
    "Report",
    "SpatialIndex",
]
