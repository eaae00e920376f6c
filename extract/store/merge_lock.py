"""Who joins the shards of a folder: one at a time, so that nothing is done twice.

What is taken away follows a rule that is safe even where two hold the lock (see `versions.kept`): the lock saves
work, it does not guard data.
"""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from ..errors import StoreError

LOCK_NAME = ".merging"
SILENT_SECONDS = 900  # a holder on another host that has not been heard of for so long is dead


@contextlib.contextmanager
def merging(folder: Path) -> Iterator[bool]:
    """`with merging(folder) as alone`: whether this process is to join shards; if not, another one is at it.

    Raises:
        StoreError: the folder cannot be written.
    """
    lock, mine = folder / LOCK_NAME, _holder(os.getpid())
    alone = _taken(lock, mine) or (_is_stale(lock) and _cleared(lock) and _taken(lock, mine))
    try:
        yield alone
    finally:
        with contextlib.suppress(OSError):  # a disk that has turned read-only: it is stale soon
            if alone and lock.read_text() == mine:
                lock.unlink()


def still_merging(folder: Path) -> None:
    """Let others know that the holder is alive."""
    with contextlib.suppress(OSError):
        os.utime(folder / LOCK_NAME)


def _holder(pid: int) -> str:
    """A process, so that another one with its number is not taken for it."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        started = "0"
    return f"{socket.gethostname()} {pid} {started}"


def _taken(lock: Path, holder: str) -> bool:
    try:
        with lock.open("x") as file:
            file.write(holder)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        with contextlib.suppress(OSError):
            lock.unlink()
        raise StoreError(f"{lock.parent}: cannot be written ({error.strerror}); make space or give rights") from error


def _is_stale(lock: Path) -> bool:
    """Whether its holder is gone: by its process where that was here, else by how long it has been silent."""
    try:
        holder = lock.read_text()
        host, _, rest = holder.partition(" ")
        pid = rest.partition(" ")[0]
        if host == socket.gethostname() and pid.isdecimal():
            return not _is_alive(int(pid)) or holder != _holder(int(pid))
        return _disk_time(lock.parent) - lock.stat().st_mtime > SILENT_SECONDS
    except OSError:
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
    """Take a stale lock away."""
    with contextlib.suppress(OSError):
        lock.unlink()
    return True
