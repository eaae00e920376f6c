"""File names made from video ids: without folders, valid on every file system, and different for different ids."""

from __future__ import annotations

import hashlib

MAX_STEM_BYTES = 200  # file systems allow 255, and frame numbers and a suffix are added
KEPT_OF_LONG = 160
HASH_DIGITS, SUFFIX_DIGITS = 16, 8
PLAIN = "-_."  # besides letters and digits of any script


def safe_stem(video_id: str) -> str:
    """A readable file name without suffix: the id where it can be one, else `_` for what names cannot hold, and `~`
    with a hash of the id: `cam_a~8f1db0f3` for `cam/a`."""
    stem = "".join(letter if letter.isalnum() or letter in PLAIN else "_" for letter in video_id)
    if stem == video_id and stem.strip(".") and len(stem.encode()) <= MAX_STEM_BYTES:
        return stem
    short = stem.encode()[:KEPT_OF_LONG].decode(errors="ignore")
    return f"{short}~{key_of(video_id)[:SUFFIX_DIGITS]}"


def key_of(video_id: str) -> str:
    """A short name, 16 hexadecimal digits, for files that only a program looks for."""
    return hashlib.sha256(video_id.encode(errors="surrogatepass")).hexdigest()[:HASH_DIGITS]
