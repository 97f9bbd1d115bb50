"""Storage of an index on the server: the layout of a record's hash, the catalog, and the keys."""
