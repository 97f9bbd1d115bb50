"""A vector index on Valkey for LLM applications: the core, which knows no framework."""

from valkey_vector.aggregating import Facet, FacetValue
from valkey_vector.connection import (
    Address,
    Capabilities,
    Connection,
    ConnectionSettings,
    IamSettings,
    SearchModule,
    TlsSettings,
)
from valkey_vector.engines.base import IndexInfo
from valkey_vector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    DuplicateIdError,
    FilterError,
    IndexMismatchError,
    IndexNotFoundError,
    InvalidInputError,
    PartialWriteError,
    RequestTimeoutError,
    ServerError,
    UnsupportedFeatureError,
    ValkeyVectorError,
)
from valkey_vector.filters import F, FieldExpression, Filter, all_of, any_of
from valkey_vector.index import Index
from valkey_vector.record import Hit, Record, WritePolicy, WriteResult
from valkey_vector.schema import (
    Flat,
    Hnsw,
    Metric,
    NumericField,
    Schema,
    TagField,
    TextField,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "Address",
    "AuthenticationError",
    "Capabilities",
    "ConfigurationError",
    "Connection",
    "ConnectionLostError",
    "ConnectionSettings",
    "DuplicateIdError",
    "F",
    "Facet",
    "FacetValue",
    "FieldExpression",
    "Filter",
    "FilterError",
    "Flat",
    "Hit",
    "Hnsw",
    "IamSettings",
    "Index",
    "IndexInfo",
    "IndexMismatchError",
    "IndexNotFoundError",
    "InvalidInputError",
    "Metric",
    "NumericField",
    "PartialWriteError",
    "Record",
    "RequestTimeoutError",
    "Schema",
    "SearchModule",
    "ServerError",
    "TagField",
    "TextField",
    "TlsSettings",
    "UnsupportedFeatureError",
    "ValkeyVectorError",
    "WritePolicy",
    "WriteResult",
    "__version__",
    "all_of",
    "any_of",
]
