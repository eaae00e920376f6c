"""Locks that one process holds at a time; the system frees them however that process ends."""

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
    """Try to take a lock for a `with` block: `with only_process(lock) as alone`.

    `alone` is False where another process, or another part of this one, has the lock. The lock file is there while the
    lock is taken; one that a killed process left behind locks nobody out. On a disk without locks `alone` is always
    True.

    Args:
        lock: the lock file.

    Raises:
        StoreError: the file's folder cannot be written.
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
    """Open and lock the file; None where another process has it locked.

    Whoever frees the lock deletes the file. So the file just locked may be a deleted one: then the next one is tried.
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
    """Lock an open file; True where another process has it locked already."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)  # else the disk knows no locks
    return True


@contextlib.contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Let one process at a time into a `with` block, the others wait: `with in_turn(folder):`.

    Args:
        folder: whose lock it is; made where it is missing. Where it cannot be locked, nobody waits.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
