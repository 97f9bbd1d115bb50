"""The native engine: an index kept on plain Valkey data types."""
