"""The engines that keep an index: a search module, or plain Valkey data types."""
