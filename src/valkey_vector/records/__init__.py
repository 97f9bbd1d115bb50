"""Records and their values: metadata, tokens, vectors, time. No I/O."""
