"""Cameras as they go: watched, and what watching costs, replayed from stored features."""
