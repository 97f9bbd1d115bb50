"""Full-text search: the analyzer, the compiler of text queries, and BM25.

Texts are taken apart here and not by the server: the servers differ in what a word is (Valkey-Search 1.2.1 and
RediSearch 2.10 keep “ and … as letters, fold case by different tables and carry different versions of the
stemmer), and both silently stop at 200 words that a prefix or fuzzy word stands for. A document therefore
carries its words and stems, and the server's text index finds exactly those.
"""
