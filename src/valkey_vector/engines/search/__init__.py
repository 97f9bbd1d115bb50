"""The search engine: an index kept by a search module (FT.* commands)."""
