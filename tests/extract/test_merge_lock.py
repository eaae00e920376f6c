"""Who may take shards away: one at a time, and never somebody dead for ever."""

import os
import subprocess
import sys

import pytest

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.store import merge_lock
from vad_pipeline.extract.store.merge_lock import LOCK_NAME, SILENT_SECONDS, merging


def test_one_at_a_time(tmp_path):
    with merging(tmp_path) as first, merging(tmp_path) as second:
        assert first and not second
    with merging(tmp_path) as again:
        assert again
    assert list(tmp_path.iterdir()) == []


def test_another_process_with_the_holders_number_is_not_the_holder(tmp_path):
    host, pid, _ = merge_lock._holder(os.getpid()).split()
    (tmp_path / LOCK_NAME).write_text(f"{host} {pid} 1")
    with merging(tmp_path) as alone:
        assert alone


def test_a_dead_holder_on_this_host_is_no_holder(tmp_path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom vad_pipeline.extract.store.merge_lock import merging\n"
        "with merging(Path(sys.argv[1])): os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert (tmp_path / LOCK_NAME).exists()
    with merging(tmp_path) as alone:
        assert alone
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("silent", "expected"), [(0, False), (SILENT_SECONDS + 60, True)])
def test_a_holder_on_another_host_is_believed_while_it_is_heard_of(tmp_path, silent, expected):
    (tmp_path / LOCK_NAME).write_text("elsewhere 1 0")
    then = (tmp_path / LOCK_NAME).stat().st_mtime - silent
    os.utime(tmp_path / LOCK_NAME, (then, then))
    with merging(tmp_path) as alone:
        assert alone is expected
    assert (tmp_path / LOCK_NAME).exists() is not expected
    merge_lock.still_merging(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(StoreError, match="cannot be written"), merging(tmp_path / "none"):
        pass
