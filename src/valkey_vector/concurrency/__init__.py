"""Threads, async versions of blocking methods, and closing."""
