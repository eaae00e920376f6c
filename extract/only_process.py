"""One process at a time: a lock that the system frees, however its process ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .errors import StoreError


@contextlib.contextmanager
def only_process(lock: Path) -> Iterator[bool]:
    """`with only_process(lock) as alone`: whether no other process, nor another part of this one, is inside.

    The file is there while somebody is inside; one that a killed process left locks nobody out. On a disk that knows no
    locks everybody is alone.

    Raises:
        StoreError: its folder cannot be written.
    """
    try:
        file = _opened(lock)
    except OSError as error:
        raise StoreError(f"{lock.parent}: cannot be written ({error.strerror}); make space or give rights") from error
    if file is None:
        yield False
        return
    with file:
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):  # a disk that has turned read-only; an old file locks nobody out
                lock.unlink(missing_ok=True)


def _opened(lock: Path) -> IO | None:
    """The file, locked; None where another process has it locked.

    Whoever leaves takes the file away, so the one that was locked may not be the one that lies there by then.
    """
    while True:
        file = lock.open("w")
        if not _is_taken(file.fileno()):
            file.close()
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(lock)):
                return file
        file.close()


def _is_taken(descriptor: int) -> bool:
    """Take the lock of an open file; False where another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)  # else the disk knows no locks
    return True
