"""The doctor: connects as an application would, and names what is wrong and how to fix it."""
