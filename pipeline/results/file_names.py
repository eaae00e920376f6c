"""File names made from video ids: flat, safe in every folder, no two ids with one name."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

MAX_STEM_BYTES = 200  # systems allow 255, and more is put behind it
KEPT_OF_LONG, HASH_DIGITS = 160, 16


def safe_stem(video_id: str) -> str:
    """An id percent-encoded; a long one is cut and ends in a hash of all of it."""
    stem = quote(video_id, safe="", errors="surrogatepass")
    if len(stem) <= MAX_STEM_BYTES:
        return stem
    digest = hashlib.sha256(video_id.encode(errors="surrogatepass")).hexdigest()
    return f"{stem[:KEPT_OF_LONG]}~{digest[:HASH_DIGITS]}"
