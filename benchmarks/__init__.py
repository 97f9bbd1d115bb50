"""Side-by-side measurements of this library and what it is built on."""
