"""One merge of a folder of shards at a time, whichever process or host does it.

Adding shards needs no lock. Merging takes shards away because others hold the same groups, which must not be decided
by two at once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from .errors import StoreError

LOCK_NAME = ".merging"
STALE_SECONDS = 900  # a holder on another host that has not been heard of for so long is dead


@contextlib.contextmanager
def merging(folder: Path) -> Iterator[bool]:
    """`with merging(folder) as alone`: whether this process may take shards away; if not, another one is at it.

    Raises:
        StoreError: the folder cannot be written.
    """
    lock = folder / LOCK_NAME
    alone = _taken(lock) or (_is_stale(lock) and _cleared(lock) and _taken(lock))
    try:
        yield alone
    finally:
        if alone:
            lock.unlink(missing_ok=True)


def still_merging(folder: Path) -> None:
    """Let others know that the holder is alive."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(folder / LOCK_NAME)


def _taken(lock: Path) -> bool:
    try:
        with lock.open("x") as file:
            file.write(f"{socket.gethostname()} {os.getpid()}")
        return True
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError(f"{lock.parent}: cannot be written ({error.strerror}); make space or give rights") from error


def _is_stale(lock: Path) -> bool:
    """Whether its holder is gone: by its process where that was here, else by how long it has been silent."""
    try:
        host, _, pid = lock.read_text().rpartition(" ")
        if host == socket.gethostname() and pid.isdecimal():
            return not _is_alive(int(pid))
        return _disk_time(lock.parent) - lock.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _disk_time(folder: Path) -> float:
    """Now, by the clock that stamps files there."""
    probe = folder / f"{LOCK_NAME}-{uuid.uuid4().hex}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _cleared(lock: Path) -> bool:
    """Take a stale lock away; of several who try, one does."""
    aside = lock.with_name(f"{LOCK_NAME}-{uuid.uuid4().hex}")
    try:
        lock.rename(aside)
    except FileNotFoundError:
        return True
    aside.unlink(missing_ok=True)
    return True
