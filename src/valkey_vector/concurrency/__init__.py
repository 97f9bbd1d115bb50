"""Support for blocking and async code: threads, async versions, closing, and imports on first use."""
