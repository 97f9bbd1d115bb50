"""Execution of queries on an engine: one dispatcher, and one module per kind of query."""
