"""Shards are read in a process of its own: what crashes, does not end or asks for all memory costs one shard."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from vad_pipeline.extract.errors import DamagedShard, StoreError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store import own_process, upkeep
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.exchange import ImportConfig, import_list
from vad_pipeline.extract.store.own_process import OwnProcess


@pytest.fixture(scope="module")
def own():
    made = OwnProcess()
    yield made
    made.stop()


@pytest.fixture
def shard(tmp_path) -> Path:
    (tmp_path / "x.h5").write_bytes(b"0" * 25_000)
    return tmp_path / "x.h5"


def test_what_a_function_gives_and_raises_comes_back(own, shard):
    assert own.read([shard], eval, "1 + 1") == 2
    with pytest.raises(FileNotFoundError) as caught:
        own.read([shard], open, "/not/there")
    assert caught.value.errno == 2
    with pytest.raises(KeyError, match="name"):
        own.read([shard], eval, "{}['name']")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("__import__('ctypes').string_at(0)", "reading it ends the process (SIGSEGV)"),
        ("__import__('os').abort()", "reading it ends the process (SIGABRT)"),
        ("sum(iter(int, 1))", "reading it does not end"),
        ("bytearray(842 << 20)", "asks for far more memory than it is large"),
        ("b'x' * (100 << 20)", "asks for far more memory than it is large"),
    ],
)
def test_what_reading_may_come_to_is_damage(own, shard, monkeypatch, harm, words):
    with pytest.raises(DamagedShard) as caught:
        own.read([shard], eval, harm)
    assert words in str(caught.value) and str(shard) in str(caught.value)
    assert own.read([shard], eval, "2") == 2  # by another one


OF_GROUPS = """[
    load := __import__('importlib').import_module, own := load('vad_pipeline.extract.store.own_process'),
    now := lambda: int(load('time').process_time()), soft := lambda: load('resource').getrlimit(0)[0],
    first := now(), [0 for _ in iter(now, first + 1)],
    left := soft() - now(), own.next_group(), (left, soft() - now(), own._allowed[0] - now()),
][-1]"""


def test_a_group_of_a_large_shard_may_not_take_as_long_as_all_of_them(own, shard):
    with shard.open("wb") as file:
        file.truncate(64 << 20)
    left, again, of_all = own.read([shard], eval, OF_GROUPS.replace("\n", ""), {})
    assert (left, again, of_all) == (6, 7, 66)  # seconds of the processor


def test_a_process_that_somebody_kills_is_no_damage(own, shard):
    with pytest.raises(StoreError, match="was killed; run the same command again") as caught:
        own.read([shard], eval, "__import__('os').kill(__import__('os').getpid(), 9)")
    assert not isinstance(caught.value, DamagedShard)


def test_a_process_that_ends_by_itself_says_nothing_of_the_shard(own, shard):
    with pytest.raises(StoreError, match="ended .exit code 1.; run the same command again") as caught:
        own.read([shard], eval, "__import__('os')._exit(1)")
    assert not isinstance(caught.value, DamagedShard)


def test_larger_shards_may_take_more(own, shard):
    with shard.open("wb") as file:
        file.truncate(100 << 20)
    assert len(own.read([shard], eval, "bytes(500 << 20)[:9]")) == 9


class Interrupted(BaseException):
    """As KeyboardInterrupt is, but one that no test runner takes for its own."""


def test_an_interrupt_ends_reading_and_the_next_one_begins_anew(own, shard):
    def interrupt(*_):
        raise Interrupted

    own.read([shard], eval, "1")
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(Interrupted):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            own.read([shard], eval, "__import__('time').sleep(60)")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert own.read([shard], eval, "3") == 3


def test_relative_paths_are_those_of_whoever_asks(own, shard, tmp_path, monkeypatch):
    own.read([shard], os.getcwd)
    monkeypatch.chdir(tmp_path)
    assert own.read([shard], os.getcwd) == str(tmp_path)


def _in_a_fork(path: Path, found) -> None:
    found.put((own_process.read_apart([path], os.getpid), own_process.read_apart([path], os.getppid), os.getpid()))


def test_a_fork_reads_by_a_process_of_its_own(shard):
    ours = own_process.read_apart([shard], os.getpid)
    context = multiprocessing.get_context("fork")
    found = context.Queue()
    fork = context.Process(target=_in_a_fork, args=(shard, found))
    fork.start()
    theirs, parent, fork_pid = found.get(timeout=60)
    fork.join()
    assert theirs != ours and parent == fork_pid and own_process.read_apart([shard], os.getpid) == ours


def test_it_ends_with_the_process_that_it_reads_for(tmp_path):
    code = "import os, sys\nfrom vad_pipeline.extract.store.own_process import read_apart\n"
    code += "print(read_apart([], os.getpid), flush=True)\nos.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pid, deadline = int(done.stdout), time.monotonic() + 30
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nothing_is_imported_from_the_folder_that_one_is_in(tmp_path, monkeypatch):
    (tmp_path / "h5py.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    own = OwnProcess()
    assert own.read([], eval, "1") == 1
    own.stop()


@pytest.fixture
def store(tmp_path) -> Path:
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.full((2, 512), 0.5, np.float16))
    (tmp_path / "list.csv").write_text("a.npy,Abuse\nb.npy,Abuse\n")
    with EmbeddingStore(tmp_path / "store", create=True) as opened:
        import_list(tmp_path / "list.csv", opened, ImportConfig(recipe=Recipe(), fps=30))
    return tmp_path / "store"


def test_shards_that_are_known_are_read_by_nobody(store, monkeypatch):
    monkeypatch.setattr(OwnProcess, "read", None)
    with EmbeddingStore(store) as opened:
        assert [entry.video for entry in opened.entries()] == ["a", "b"] and opened.get(opened.entries()[0])


def test_a_shard_that_crashes_its_reader_costs_its_videos(store, run_cli, monkeypatch):
    first = sorted((store / "shards").glob("*.h5"))[0]
    read, asked = OwnProcess.read, []

    def crashing(own, paths, function, *given):
        asked.extend(paths)
        if first in paths:
            return read(own, paths, eval, "__import__('ctypes').string_at(0)")
        return read(own, paths, function, *given)

    monkeypatch.setattr(OwnProcess, "read", crashing)
    (store / "catalogue.sqlite").unlink()
    code, out, err = run_cli("store", "ls", "--store", store)
    assert (
        code == 0 and len(out.splitlines()) == 1 and f"{first}: damaged, reading it ends the process (SIGSEGV)" in err
    )
    asked.clear()
    code, out, err = run_cli("store", "verify", "--store", store)
    assert code == 1 and "SIGSEGV" in err and asked.count(first) == 2  # as the store is opened, and once to verify it
    code, out, err = run_cli("store", "verify", "--repair", "--store", store)
    assert code == 0 and (store / "damaged" / first.name).exists()
    monkeypatch.undo()
    with EmbeddingStore(store) as opened:
        assert len(opened.entries()) == 1 and upkeep.restore(opened)[0] == 1


def test_a_pipe_in_place_of_a_shard_is_not_waited_for(store, run_cli):
    os.mkfifo(store / "shards" / "a.h5")
    for command, expected in (("ls", 0), ("verify", 1), ("verify --repair", 0)):
        code, out, err = run_cli("store", *command.split(), "--store", store)
        assert code == expected and "a.h5: no regular file" in err, (command, out, err)
    assert (store / "damaged" / "a.h5").is_fifo()
