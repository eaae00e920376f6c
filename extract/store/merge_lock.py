"""Who joins the shards of a folder: one process at a time, so that nothing is done twice.

What is taken away follows a rule that is safe even where two are at it (see `kept` in versions.py): the lock saves
work, it does not guard data. So a disk that knows no locks is worked on without one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from ..only_process import only_process

LOCK_NAME = ".merging"


def merging(folder: Path) -> AbstractContextManager[bool]:
    """`with merging(folder) as alone`: whether this process is to join shards; if not, another one is at it.

    Raises:
        StoreError: the folder cannot be written.
    """
    return only_process(folder / LOCK_NAME)
