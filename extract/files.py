"""A source file as it lies on disk: how it is named, when it counts as changed, what its content hashes to."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

READ_BLOCK = 1 << 20  # bytes


def readable(path: str | os.PathLike) -> str:
    r"""`path` as text that can be printed and stored on one line: bytes that are no UTF-8 become `\xff`, line breaks
    and other control characters `\n`, `\x1b`."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    return character.encode("unicode_escape").decode() if category in ("Cc", "Cf", "Zl", "Zp") else character


@dataclass(frozen=True, slots=True)
class SourceFile:
    """Size in bytes and modification time in ns, taken before reading starts: a file that changes meanwhile is a
    miss next time."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike) -> SourceFile:
        """Stat `path`.

        Raises:
            OSError: it is not there, not to be read, or no regular file (a pipe would be read for ever).
        """
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return cls(os.fspath(path), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1024)
def content_of(file: SourceFile) -> str:
    """The fingerprint of a file in the state that was seen; hashed once however often it is asked for.

    Raises:
        OSError: the file cannot be read.
    """
    return fingerprint(file.path)


def fingerprint(path: str | os.PathLike) -> str:
    """SHA-256 of the whole content, as hex.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb", buffering=0) as file:
        while block := file.read(READ_BLOCK):
            digest.update(block)
    return digest.hexdigest()
