"""Lets one process at a time join the shards of a folder, so that no work is done twice.

The lock does not guard data: which shards may be removed follows a rule that is safe even if two processes join shards
at once (see `kept` in versions.py). So on a disk without locks shards are joined without one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from ..only_process import only_process

LOCK_NAME = ".merging"


def merging(folder: Path) -> AbstractContextManager[bool]:
    """Try to take the lock for a `with` block; it gives whether this process may join shards, or else another does.

    Raises:
        StoreError: the folder cannot be written.
    """
    return only_process(folder / LOCK_NAME)
