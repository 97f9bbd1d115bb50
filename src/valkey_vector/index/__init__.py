"""The public face of an index: `Index`, its handle on the server, bulk writes, updates, and verification."""
