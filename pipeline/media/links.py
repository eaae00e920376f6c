"""Paths of videos as whoever opens the page has them, and links that a browser understands."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from urllib.parse import quote

from vad_pipeline.extract.lists import FEATURE_SUFFIXES

from .roots import MediaRoots, below_folder

ESCAPED = re.compile(r"\\x([0-9a-f]{2})|\\(n|r|t)|\\u([0-9a-f]{4})")
WHITESPACE = {"n": b"\n", "r": b"\r", "t": b"\t"}
DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def moved(path: str, roots: MediaRoots) -> str:
    """The path under which whoever opens the page finds a file: below the new folder of --media-root.

    The new folder need not exist on this machine.
    """
    for old, new in roots.moved:
        below = "" if path == old else below_folder(path, old.rstrip("/"))
        if below is not None:
            return new.rstrip("/\\") + "/" + below.lstrip("/")
    return path


def is_video(path: str) -> bool:
    """Whether a source is footage, by its suffix; imported features come from other kinds of files."""
    return bool(path) and PurePath(path).suffix.lower() not in FEATURE_SUFFIXES


def as_bytes(source: str) -> str:
    r"""The path behind a stored source, in which `\xff` and the like stand for bytes that are no UTF-8 text.

    Returns:
        The source itself where a file of that name exists, else the path with its bytes put back.
    """
    return source if os.path.exists(source) else os.fsdecode(_bytes_of(source))


def _bytes_of(source: str) -> bytes:
    parts, end = [], 0
    for match in ESCAPED.finditer(source):
        byte, space, point = match.groups()
        parts.append(os.fsencode(source[end : match.start()]))
        parts.append(bytes.fromhex(byte) if byte else WHITESPACE[space] if space else chr(int(point, 16)).encode())
        end = match.end()
    return b"".join([*parts, os.fsencode(source[end:])])


def may_link(path: str, roots: MediaRoots, *, home: Path, is_here: bool) -> bool:
    """Whether a page may link to a file. Results may be of strangers: a browser sends a request, and on Windows a
    password's hash, to the host of a share that it is told to play from.

    So a page links to what lies below a folder of --media-root, below `home`, or on this machine already.

    Args:
        path: the file, as whoever opens the page has it.
        roots: --media-root.
        home: the folder that is copied together with the page.
        is_here: whether the file can be read on this machine.
    """
    plain = path.replace("\\", "/")
    if ".." in plain.split("/"):
        return False
    if any(plain.startswith(new.replace("\\", "/").rstrip("/") + "/") for _, new in roots.moved):
        return True
    if not path.startswith("/") or path.startswith("//"):
        return False
    return is_here or Path(path).is_relative_to(os.path.abspath(home))


def link(path: str, page: Path, *, home: Path) -> str:
    """The address under which a page links to a file.

    It is relative where the file lies below `home`, as it is then copied together with the page, else absolute.

    Args:
        path: the file; bytes that are no UTF-8 are surrogates.
        page: the folder that the page is in.
        home: the folder that is copied as a whole.
    """
    if DRIVE.match(path):
        return "file:///" + quote(path.replace("\\", "/"), safe="/:")
    if path.startswith(("\\\\", "//")):  # a Windows share
        return "file:" + quote(path.replace("\\", "/"), safe="/")
    whole = os.path.abspath(path)
    if Path(whole).is_relative_to(os.path.abspath(home)):
        return quote(os.fsencode(os.path.relpath(whole, os.path.abspath(page))), safe="/")
    return "file://" + quote(os.fsencode(whole), safe="/")
