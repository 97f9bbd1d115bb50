"""The native engine: an index on plain Valkey data types."""
