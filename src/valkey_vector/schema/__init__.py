"""Schemas: how an index measures vectors and which fields it declares. No I/O."""
