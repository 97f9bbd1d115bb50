"""Indexes that other programs created with a search module: define, describe, list and search them."""
