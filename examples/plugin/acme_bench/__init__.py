"""Kinds of a third party for retrieval-gate, one file each; docs/plugins.md of retrieval-gate explains them."""
