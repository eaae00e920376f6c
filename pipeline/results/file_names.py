"""File names made from video ids: in no folder of their own, safe on every disk, no two ids with one name."""

from __future__ import annotations

import hashlib

from vad_pipeline.extract.names import flat

MAX_STEM_BYTES = 200  # systems allow 255, and more is put behind it
KEPT_OF_LONG = 160
HASH_DIGITS = 16


def safe_stem(video_id: str) -> str:
    """A name that people can read: the id percent-encoded; a long one is cut and ends in a hash of all of it."""
    stem = flat(video_id)
    return stem if len(stem) <= MAX_STEM_BYTES else f"{stem[:KEPT_OF_LONG]}~{key_of(video_id)}"


def key_of(video_id: str) -> str:
    """A short name, 16 hexadecimal digits, for files that only a program looks for."""
    return hashlib.sha256(video_id.encode(errors="surrogatepass")).hexdigest()[:HASH_DIGITS]
