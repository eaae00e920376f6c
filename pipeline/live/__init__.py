"""Cameras as they go: what watching costs, replayed from stored features."""
