"""Who may join shards: one at a time, and never somebody dead for ever."""

import errno
import fcntl
import subprocess
import sys

import pytest

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.store.merge_lock import LOCK_NAME, merging

HOLD = """
import os, sys
from pathlib import Path
from vad_pipeline.extract.store.merge_lock import merging
with merging(Path(sys.argv[1])) as alone:
    print(alone, flush=True)
    sys.stdin.readline() or os._exit(1)  # end of file: as if killed
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_one_at_a_time(tmp_path):
    with merging(tmp_path) as first, merging(tmp_path) as second:
        assert first and not second
    with merging(tmp_path) as again:
        assert again
    assert list(tmp_path.iterdir()) == []


def test_another_process_is_waited_for_until_it_is_dead(tmp_path, holder):
    with merging(tmp_path) as alone:
        assert not alone
    holder.stdin.close()
    assert holder.wait(60) == 1 and (tmp_path / LOCK_NAME).exists()
    with merging(tmp_path) as alone:
        assert alone
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_locks_is_worked_on(tmp_path, monkeypatch):
    def flock(descriptor, how):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with merging(tmp_path) as alone:
        assert alone


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(StoreError, match="cannot be written"), merging(tmp_path / "none"):
        pass
