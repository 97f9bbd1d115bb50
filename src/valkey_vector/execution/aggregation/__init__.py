"""Aggregates in plain Python: what every step of a query does with rows, on whichever engine they come from."""
