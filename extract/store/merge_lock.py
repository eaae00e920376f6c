"""Who joins the shards of a folder: one process at a time, so that nothing is done twice.

What is taken away follows a rule that is safe even where two are at it (see `kept` in versions.py): the lock saves
work, it does not guard data. So a disk that knows no locks is worked on without one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
from collections.abc import Iterator
from pathlib import Path

from ..errors import StoreError

LOCK_NAME = ".merging"


@contextlib.contextmanager
def merging(folder: Path) -> Iterator[bool]:
    """`with merging(folder) as alone`: whether this process is to join shards; if not, another one is at it.

    The system lets go of the lock of a process that is killed.

    Raises:
        StoreError: the folder cannot be written.
    """
    lock = folder / LOCK_NAME
    try:
        file = lock.open("w")
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror}); make space or give rights") from error
    with file:
        alone = _is_taken(file.fileno())
        try:
            yield alone
        finally:
            if alone:
                with contextlib.suppress(OSError):  # a disk that has turned read-only; an old file locks nobody out
                    lock.unlink(missing_ok=True)


def _is_taken(descriptor: int) -> bool:
    """Take the lock of an open file; False where another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)  # else the disk knows no locks
    return True
