"""Indexes that others made with a search module, as they are: defined, described, listed, and searched."""
