"""Records and their values: metadata, tokens, vectors and time. No I/O."""
