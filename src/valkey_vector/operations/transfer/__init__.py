"""Copies of whole indexes: to a file, from a file, and from one server to another."""
