"""A vector index on Valkey for LLM applications: the core, which knows no framework."""

from valkey_vector.aggregating import Facet, FacetValue
from valkey_vector.attached.definition import (
    IndexDefinition,
    NumericAttribute,
    TagAttribute,
    TextAttribute,
    TextOptions,
    VectorAttribute,
)
from valkey_vector.attached.documents import AttachedDocument, AttachedHit
from valkey_vector.attached.index import AttachedIndex
from valkey_vector.attached.server import (
    ListedIndex,
    acreate_index,
    adescribe_index,
    alist_indexes,
    create_index,
    describe_index,
    list_indexes,
)
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
    "AttachedDocument",
    "AttachedHit",
    "AttachedIndex",
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
    "IndexDefinition",
    "IndexInfo",
    "IndexMismatchError",
    "IndexNotFoundError",
    "InvalidInputError",
    "ListedIndex",
    "Metric",
    "NumericAttribute",
    "NumericField",
    "PartialWriteError",
    "Record",
    "RequestTimeoutError",
    "Schema",
    "SearchModule",
    "ServerError",
    "TagAttribute",
    "TagField",
    "TextAttribute",
    "TextField",
    "TextOptions",
    "TlsSettings",
    "UnsupportedFeatureError",
    "ValkeyVectorError",
    "VectorAttribute",
    "WritePolicy",
    "WriteResult",
    "__version__",
    "acreate_index",
    "adescribe_index",
    "alist_indexes",
    "all_of",
    "any_of",
    "create_index",
    "describe_index",
    "list_indexes",
]
