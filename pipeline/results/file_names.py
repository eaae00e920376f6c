"""File names made from video ids: without folders, valid on every file system, and different for different ids."""

from __future__ import annotations

import hashlib

from vad_pipeline.extract.names import flat

MAX_STEM_BYTES = 200  # file systems allow 255, and frame numbers and a suffix are added
KEPT_OF_LONG = 160
HASH_DIGITS = 16


def safe_stem(video_id: str) -> str:
    """A readable file name without suffix: the id percent-encoded; a long id is cut and a hash of the whole added."""
    stem = flat(video_id)
    return stem if len(stem) <= MAX_STEM_BYTES else f"{stem[:KEPT_OF_LONG]}~{key_of(video_id)}"


def key_of(video_id: str) -> str:
    """A short name, 16 hexadecimal digits, for files that only a program looks for."""
    return hashlib.sha256(video_id.encode(errors="surrogatepass")).hexdigest()[:HASH_DIGITS]
