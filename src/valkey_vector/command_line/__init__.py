"""The command `valkey-vector`: each verb calls one function of the library, and prints its result."""
