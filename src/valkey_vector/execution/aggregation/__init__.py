"""Aggregates in plain Python: the effect of every step of a query on rows, the same for all engines."""
