"""The same suite and the same systems as other programs' objects: mteb's tasks and models."""
