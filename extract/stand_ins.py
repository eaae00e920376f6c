"""Knows files that stand in place of others: pointers of Git LFS, and web pages saved under a file's name."""

from __future__ import annotations

HEAD_BYTES = 256  # of a file, by which it is known


def stand_in(head: bytes | str) -> str:
    """What a file is instead of itself, in words with what to do; empty where it is none of what is known here.

    Args:
        head: the beginning of the file, or of its text; HEAD_BYTES are enough.
    """
    head = head[:HEAD_BYTES].encode(errors="replace") if isinstance(head, str) else head
    if head.startswith(b"version https://git-lfs.github.com/"):
        return "a Git LFS pointer, not the file itself; fetch that with `git lfs pull`"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page saved under this name, an error page of a download perhaps; download the file again"
    return ""
