"""Embeddings, kept: shards that are complete as soon as they are there, and an index that may be lost."""
