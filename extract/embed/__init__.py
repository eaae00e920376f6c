"""Frames -> embeddings: sampling, geometry, CLIP's image tower on whatever device."""
