"""Full-text search: the analyzer, the compiler of text queries, and BM25.

The client analyzes texts, because servers disagree on words. Valkey-Search 1.2.1 and RediSearch 2.10 treat “ and … as
letters, fold case by different tables and have different versions of the stemmer. Both silently expand a prefix or
fuzzy term to 200 words at most. A document therefore stores its words and stems, which the server indexes as tags and
finds exactly.
"""
