"""Haystack document store on Valkey: `ValkeyDocumentStore`."""

try:
    import haystack  # noqa: F401 - only checks that it is installed
except ModuleNotFoundError as error:
    raise ImportError(
        'haystack_integrations.document_stores.valkey needs Haystack: pip install "valkey-vector[haystack]"'
    ) from error

from haystack_integrations.document_stores.valkey.installation import refuse_mixed_installation

refuse_mixed_installation()

from haystack_integrations.document_stores.valkey.document_store import (  # noqa: E402 - after the check
    ValkeyDocumentStore,
    ValkeyDocumentStoreError,
)

__all__ = ["ValkeyDocumentStore", "ValkeyDocumentStoreError"]
