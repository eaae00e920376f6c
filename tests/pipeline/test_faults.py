"""What disks, other runs and damage do to a store: finished work stays, one sentence, the same command goes on."""

import errno
import os
import random
import shutil
import subprocess

import h5py
import numpy as np
import pytest
from preloaded import Command

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.store import catalogue, catalogue_file, catalogue_place, shards, upkeep
from vad_pipeline.extract.store import entry as entry_module
from vad_pipeline.extract.store.embedding_store import EmbeddingStore

N_VIDEOS = 8


@pytest.fixture(scope="module")
def archive(tmp_path_factory, make_video):
    folder = tmp_path_factory.mktemp("archive")
    for index in range(N_VIDEOS):
        make_video(folder / f"v{index}.mp4", n_frames=40, seed=index)
    return folder


@pytest.fixture(scope="module")
def options(toy_model):
    return ("--like", "quick", "--pretrained", "random:0", "--model", toy_model, "--device", "cpu")


@pytest.fixture
def extract(run_cli, tmp_path, archive, options):
    """extract(*options): the archive into tmp_path/S."""
    return lambda *more: run_cli("extract", archive, "--store", tmp_path / "S", *options, *more)


@pytest.fixture(scope="module")
def made(tmp_path_factory, archive, options):
    """A store of all of it in one shard, not to be written to."""
    folder = tmp_path_factory.mktemp("made") / "S"
    _, errors = (process := Command(["extract", archive, *options, "--store", folder, "--quiet"])).communicate()
    assert process.returncode == 0, errors
    return folder


def held(store_path) -> dict[str, np.ndarray]:
    with EmbeddingStore(store_path) as store:
        assert list(upkeep.verify(store)) == []
        return {entry.video: store.get(entry).features for entry in store.entries()}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[video], other[video]) for video in one)


@pytest.fixture
def small_disk(tmp_path):
    """tmp_path/disk: a file system of 600 kB, where this machine lets a test mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here ({mounted.stderr.decode().strip()})")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def assert_stopped_in_one_sentence(code: int, err: str) -> None:
    assert code == 3 and "Traceback" not in err, err
    assert [line for line in err.splitlines() if line.startswith("Error: ")] == err.splitlines()[-1:], err


@pytest.mark.parametrize("workers", [(), pytest.param(("--workers", "2"), marks=pytest.mark.long)])
def test_a_disk_that_fills_up(small_disk, run_cli, archive, options, made, workers):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(450_000))
    arguments = ("extract", archive, "--store", small_disk / "S", *options, *workers)
    code, _, err = run_cli(*arguments)
    assert_stopped_in_one_sentence(code, err)
    assert "make space" in err
    filler.unlink()
    n_finished = len(held(small_disk / "S"))
    code, out, err = run_cli(*arguments)
    assert code == 0 and f"{n_finished} cached, 0 failed" in out, out + err
    assert held(small_disk / "S").keys() == held(made).keys()


def test_a_disk_that_fills_up_by_a_write_hook(extract, tmp_path, monkeypatch, made):
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor)

    monkeypatch.setattr(shards.os, "fsync", full)
    code, _, err = extract()
    assert_stopped_in_one_sentence(code, err)
    assert "No space left on device" in err
    monkeypatch.undo()
    n_finished = len(held(tmp_path / "S"))
    assert 0 < n_finished < N_VIDEOS
    code, out, _ = extract()
    assert (
        code == 0
        and f"{N_VIDEOS - n_finished} ok, {n_finished} cached" in out
        and same(held(tmp_path / "S"), held(made))
    )


def test_a_store_that_turns_read_only(extract, tmp_path, monkeypatch):
    def refused(self, *arguments, **options):
        if "x" in (mode := arguments[0] if arguments else "r") or "w" in mode:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(self, *arguments, **options)

    extract("--match", "v0")
    real = type(tmp_path).open
    monkeypatch.setattr(type(tmp_path), "open", refused)
    code, _, err = extract()
    monkeypatch.undo()
    assert_stopped_in_one_sentence(code, err)
    assert "Read-only file system" in err
    assert list(held(tmp_path / "S")) == ["v0"]


def test_a_read_only_store_can_be_read(made, tmp_path, run_cli):
    store = tmp_path / "S"
    shutil.copytree(made, store)
    mounted = subprocess.run(["mount", "--bind", "-o", "ro", store, store], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here ({mounted.stderr.decode().strip()})")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", store], check=True)
        (store / "x").exists()
        code, out, err = run_cli("store", "ls", "--store", store)
        assert code == 0 and len(out.splitlines()) == N_VIDEOS, err
    finally:
        subprocess.run(["umount", "-l", store], check=True)


@pytest.mark.parametrize("harm", ["deleted", "truncated", "half", "garbage"])
def test_a_catalogue_that_is_gone_or_damaged(made, tmp_path, extract, harm):
    shutil.copytree(made, tmp_path / "S")
    path = tmp_path / "S" / "catalogue.sqlite"
    if harm == "deleted":
        path.unlink()
    else:
        data = path.read_bytes()
        cut = {"truncated": data[:100], "half": data[: len(data) // 2], "garbage": b"no database" * 500}[harm]
        path.write_bytes(cut)
    code, out, err = extract()
    assert code == 0 and f"0 ok, {N_VIDEOS} cached, 0 failed" in out and "Traceback" not in err


def test_a_catalogue_damaged_while_it_is_used(made, tmp_path):
    shutil.copytree(made, tmp_path / "S")
    with EmbeddingStore(tmp_path / "S") as store:
        path = store.catalogue.path
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        store.catalogue.sync()  # as another run does that opens it
    assert len(held(tmp_path / "S")) == N_VIDEOS


def test_a_catalogue_deleted_while_extract_is_at_work(tmp_path, extract, monkeypatch):
    monkeypatch.setattr("vad_pipeline.extract.store.embedding_store.BATCH_SECONDS", 0)
    take_in = EmbeddingStore.take_in

    def deleting(store, entry):
        store.catalogue.path.unlink(missing_ok=True)
        take_in(store, entry)

    monkeypatch.setattr(EmbeddingStore, "take_in", deleting)
    code, out, err = extract()
    assert code == 0 and f"{N_VIDEOS} ok" in out and "rights" not in err, err
    assert len(held(tmp_path / "S")) == N_VIDEOS


def test_a_catalogue_elsewhere(made, tmp_path, run_cli, extract):
    shutil.copytree(made, tmp_path / "S")
    (tmp_path / "S" / "catalogue.sqlite").unlink()
    (tmp_path / "local").mkdir()
    code, out, _ = extract("--catalogue", tmp_path / "local" / "index.sqlite")
    assert code == 0 and f"{N_VIDEOS} cached" in out
    assert (tmp_path / "local" / "index.sqlite").exists() and not (tmp_path / "S" / "catalogue.sqlite").exists()


@pytest.mark.parametrize("content", [b"my thesis", b"SQLite format 3\0" + bytes(4000)])
def test_a_catalogue_path_that_is_somebody_elses_file(made, tmp_path, run_cli, content):
    path = tmp_path / "thesis.txt"
    path.write_bytes(content)
    code, _, err = run_cli("store", "ls", "--store", made, "--catalogue", path)
    assert code == 2 and "no catalogue of vad-pipeline" in err and path.read_bytes() == content
    code, _, err = run_cli("store", "ls", "--store", made, "--catalogue", made / "store.json")
    assert code == 2 and "no catalogue" in err
    code, _, err = run_cli("store", "ls", "--store", made, "--catalogue", tmp_path / "thesis.txt" / "x.sqlite")
    assert code == 2 and "--catalogue" in err


def test_one_catalogue_for_two_stores_is_refused(made, tmp_path, run_cli):
    path = tmp_path / "new" / "folder" / "index.sqlite"
    assert run_cli("store", "ls", "--store", made, "--catalogue", path)[0] == 0 and path.exists()
    EmbeddingStore(tmp_path / "other", create=True).close()
    code, _, err = run_cli("store", "ls", "--store", tmp_path / "other", "--catalogue", path)
    assert code == 2 and "another store" in err
    assert len(run_cli("store", "ls", "--store", made, "--catalogue", path)[1].splitlines()) == N_VIDEOS


def test_a_listing_that_is_read_slowly_keeps_nobody_from_writing(made, tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue_file, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(catalogue, "ROWS_AT_ONCE", 2)
    shutil.copytree(made, tmp_path / "S")
    with EmbeddingStore(tmp_path / "S") as reader, EmbeddingStore(tmp_path / "S") as writer:
        listing = reader.each()
        first = next(listing)
        writer.touch(first, 5)
        writer.flush()
        assert [first.video, *(entry.video for entry in listing)] == [f"v{index}" for index in range(N_VIDEOS)]


def test_a_locked_catalogue_keeps_no_run_from_going_on(made, tmp_path, monkeypatch, extract):
    import sqlite3

    monkeypatch.setattr(catalogue_file, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr("vad_pipeline.extract.store.embedding_store.BATCH_SECONDS", 0)
    shutil.copytree(made, tmp_path / "S")
    with EmbeddingStore(tmp_path / "S") as store, sqlite3.connect(store.catalogue.path, isolation_level=None) as other:
        entry = store.entries()[0]
        other.execute("BEGIN EXCLUSIVE")
        store.touch(entry, 5)  # cannot be written now
        with pytest.raises(StoreError, match="another command"):
            store.flush()
        with pytest.raises(StoreError, match="another command"):
            store.catalogue.sync()
        other.execute("COMMIT")
        store.flush()
        assert store.entry(entry.video, entry.recipe_id).mtime_ns == 5


def test_shards_merged_away_while_a_store_is_opened(made, tmp_path, monkeypatch, shards_read_here):
    """The listing is old by the time it is read: what was merged is found all the same."""
    shutil.copytree(made, tmp_path / "S")
    (shard,) = (tmp_path / "S" / "shards").glob("*.h5")
    real, calls = entry_module.opened, []

    def moving(path):
        if not calls:
            shard.rename(shard.with_name("0000.h5"))
        calls.append(path)
        return real(path)

    monkeypatch.setattr(entry_module, "opened", moving)
    (tmp_path / "S" / "catalogue.sqlite").unlink()
    with EmbeddingStore(tmp_path / "S") as store:
        assert len(store.entries()) == N_VIDEOS and len(calls) == 2


def test_damaged_features_are_made_again_and_never_copied(made, tmp_path, archive, extract, options, run_cli):
    """A copy of a video whose features are damaged, and more crops of it: neither stops the run or spreads damage."""
    shutil.copytree(made, tmp_path / "S")
    (shard,) = (tmp_path / "S" / "shards").glob("*.h5")
    with h5py.File(shard, "r+") as file:
        node = next(node for node in file["videos"].values() if node.attrs["video"] == "v3")
        node["features"][0, 0, 0] += 1  # its checksum knows
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "twin.mp4").write_bytes((archive / "v3.mp4").read_bytes())
    code, out, err = run_cli("extract", raw, "--store", tmp_path / "S", *options)
    assert code == 0 and "1 ok" in out and "same content" not in err, err
    code, out, err = extract("--crops", "0,5")
    assert code == 0 and f"{N_VIDEOS} ok" in out, err
    with EmbeddingStore(tmp_path / "S") as store:
        assert [problem for _, problem in upkeep.verify(store) if "twin" in problem] == []
        whole = {entry.video: store.get(entry).features for entry in store.entries()}
    expected = held(made)
    assert np.array_equal(whole["twin"], expected["v3"]) and np.array_equal(whole["v3"][:1], expected["v3"])


def test_shards_that_may_not_be_read_are_not_taken_for_damaged(made, tmp_path, monkeypatch, run_cli, shards_read_here):
    shutil.copytree(made, tmp_path / "S")

    def refused(path, *arguments, **options):
        raise PermissionError(errno.EACCES, "x")

    monkeypatch.setattr(shards.h5py, "File", refused)
    code, _, err = run_cli("store", "verify", "--repair", "--store", tmp_path / "S")
    assert code == 3 and "Permission denied" in err
    assert len(list((tmp_path / "S" / "shards").glob("*.h5"))) == 1


def test_every_host_has_its_own_catalogue_on_a_network_disk(made, tmp_path, monkeypatch, extract):
    shutil.copytree(made, tmp_path / "S")
    monkeypatch.setattr(catalogue_place, "file_system_of", lambda path: "nfs4")
    for host in ("alpha", "be/ta"):
        monkeypatch.setattr(catalogue_place.socket, "gethostname", lambda host=host: host)
        code, out, _ = extract()
        assert code == 0 and f"{N_VIDEOS} cached" in out
    names = {path.name for path in (tmp_path / "S").glob("catalogue*")}
    assert names >= {"catalogue-alpha.sqlite", "catalogue-be_ta.sqlite"}


def on_network(path) -> bool:
    return catalogue_place.is_of_network(catalogue_place.file_system_of(path))


def test_network_disks_are_known_by_their_mount(tmp_path, monkeypatch):
    mounts = f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n/dev/vdb {tmp_path}/local ext4 rw 0 0\n"
    monkeypatch.setattr(catalogue_place.Path, "read_text", lambda self, **options: mounts)
    (tmp_path / "local").mkdir()
    assert on_network(tmp_path / "store") and not on_network(tmp_path / "local" / "store")
    assert not on_network(tmp_path.with_name(tmp_path.name + "x"))


def test_a_network_disk_whose_name_is_not_plain(monkeypatch):
    mounts = "/dev/vda / ext4 rw 0 0\nserver:/x /mnt/\u00dcber\\040wachung nfs4 rw 0 0\n"
    monkeypatch.setattr(catalogue_place.Path, "read_text", lambda self, **options: mounts)
    assert on_network("/mnt/\u00dcber wachung/store")
    assert not on_network("/mnt/\u00dcber")


def test_a_shard_truncated_anywhere_is_made_again(made, tmp_path, extract):
    rng = random.Random(0)
    (shard,) = (made / "shards").glob("*.h5")
    data = shard.read_bytes()
    for offset in [rng.randrange(len(data)) for _ in range(20)]:
        shutil.rmtree(tmp_path / "S", ignore_errors=True)
        shutil.copytree(made, tmp_path / "S")
        (tmp_path / "S" / "shards" / shard.name).write_bytes(data[:offset])
        with EmbeddingStore(tmp_path / "S") as store:
            assert len(list(upkeep.verify(store))) >= 1, offset
            for _ in upkeep.repair(store):
                pass
            assert list(upkeep.verify(store)) == [] and (tmp_path / "S" / "damaged" / shard.name).exists()
            n_left = len(store.entries())
    code, out, err = extract()
    assert code == 0 and f"{N_VIDEOS - n_left} ok, {n_left} cached, 0 failed" in out, err
    assert same(held(tmp_path / "S"), held(made))


def test_verify_finds_a_flipped_byte_and_repair_keeps_the_rest(made, tmp_path, run_cli, extract):
    shutil.copytree(made, tmp_path / "S")
    (shard,) = (tmp_path / "S" / "shards").glob("*.h5")
    with h5py.File(shard) as file:
        node = next(node for node in file["videos"].values() if node.attrs["video"] == "v3")
        offset = node["features"].id.get_offset() + 100
    data = bytearray(shard.read_bytes())
    data[offset] ^= 0x10
    shard.write_bytes(data)
    code, _, err = run_cli("store", "verify", "--store", tmp_path / "S")
    assert code == 1 and "v3: checksum differs" in err
    code, out, err = run_cli("store", "verify", "--repair", "--store", tmp_path / "S")
    assert code == 0 and "1 shard moved" in out and f"{N_VIDEOS - 1} videos left" in out
    assert run_cli("store", "verify", "--store", tmp_path / "S")[0] == 0
    code, out, _ = extract()
    assert code == 0 and f"1 ok, {N_VIDEOS - 1} cached" in out and same(held(tmp_path / "S"), held(made))


def test_two_runs_at_once_on_one_store(tmp_path, archive, options, made):
    runs = [Command(["extract", archive, *options, "--store", tmp_path / "S"]) for _ in range(2)]
    for run in runs:
        out, err = run.communicate()
        assert run.returncode == 0 and f"{N_VIDEOS} failed" not in out, err
    assert same(held(tmp_path / "S"), held(made))
