"""Damage is what reads well and is wrong: a disk's hiccup moves nothing, and what was moved aside comes back."""

import errno
import os
import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest

from vad_pipeline.extract.errors import DamagedShard, StoreError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store import shards, upkeep
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.exchange import ImportConfig, import_list

N_VIDEOS = 4


def told_by_hdf5(number: int) -> OSError:
    """How h5py tells of a read that failed: the number is in the text alone."""
    return OSError(
        f"Can't synchronously read data (file read failed: time = Mon Oct  6 10:00:00 2025\n, filename = 'x.h5', file "
        f"descriptor = 5, errno = {number}, error message = '{os.strerror(number)}', buf = 0x1, total read size = 9)"
    )


@pytest.fixture
def store(tmp_path) -> Path:
    """A store of some videos in one shard."""
    names = [f"v{number}" for number in range(N_VIDEOS)]
    for name in names:
        np.save(tmp_path / f"{name}.npy", np.full((2, 512), 0.5, np.float16))
    (tmp_path / "list.csv").write_text("".join(f"{name}.npy,Abuse\n" for name in names))
    with EmbeddingStore(tmp_path / "store", create=True) as opened:
        import_list(tmp_path / "list.csv", opened, ImportConfig(recipe=Recipe(), fps=30))
        upkeep.merge(opened)
    return tmp_path / "store"


def one_shard(store: Path) -> Path:
    (shard,) = (store / "shards").glob("*.h5")
    return shard


def flip(store: Path, video: str) -> None:
    """Damage one video's features."""
    with h5py.File(one_shard(store), "r+") as file:
        node = next(node for node in file["videos"].values() if node.attrs["video"] == video)
        node["features"][0, 0, 0] = 7


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
@pytest.mark.parametrize("command", ["verify", "verify --repair"])
def test_a_read_that_fails_moves_nothing(store, run_cli, monkeypatch, shards_read_here, number, command):
    shard, reads = one_shard(store), []
    read = h5py.Dataset.__getitem__

    def fail_once(dataset, key):
        reads.append(key)
        if len(reads) == 4:
            raise told_by_hdf5(number)
        return read(dataset, key)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", fail_once)
    code, _, err = run_cli("store", *command.split(), "--store", store)
    assert code == 3 and os.strerror(number) in err and str(shard) in err
    assert shard.exists() and not (store / "damaged").exists()


def test_a_listing_that_fails_before_joining_is_told(store, monkeypatch):
    def fail(root):
        raise RuntimeError(f"group info{told}")

    monkeypatch.setattr(h5py.Group, "__iter__", fail)
    with EmbeddingStore(store) as opened:
        told = str(told_by_hdf5(errno.EIO))
        with pytest.raises(StoreError, match=os.strerror(errno.EIO)) as caught:
            opened.catalogue.versions_in(one_shard(store).name)
        assert not isinstance(caught.value, DamagedShard)
        told = ""
        with pytest.raises(DamagedShard, match="group info"):
            shards.names_in(one_shard(store))
        assert len(opened.catalogue.versions_in(one_shard(store).name)) == N_VIDEOS  # whoever copies it is told


def test_a_read_that_fails_anywhere_in_a_shard_is_no_damage(store):
    with pytest.raises(StoreError, match=os.strerror(errno.EIO)), shards.opened(one_shard(store)):
        raise KeyError(str(told_by_hdf5(errno.EIO)))


def test_what_is_wrong_only_once_is_no_damage(store, run_cli, monkeypatch, shards_read_here):
    problems = [["a link to another place"], []]
    monkeypatch.setattr(upkeep, "_content", lambda path, in_memory: (["v0"], problems.pop(0)))
    assert run_cli("store", "verify", "--repair", "--store", store)[0] == 0
    assert one_shard(store) and not problems and not (store / "damaged").exists()


def test_a_healthy_shard_that_was_moved_aside_comes_back(store, run_cli):
    (store / "damaged").mkdir()
    one_shard(store).rename(store / "damaged" / "x.h5")
    assert run_cli("store", "ls", "--store", store)[1] == ""
    code, out, err = run_cli("store", "verify", "--restore", "--store", store)
    assert code == 0 and f"{N_VIDEOS} videos brought back" in out, err
    assert len(run_cli("store", "ls", "--store", store)[1].splitlines()) == N_VIDEOS
    assert not list((store / "damaged").iterdir())
    assert "0 videos brought back" in run_cli("store", "verify", "--restore", "--store", store)[1]


def test_of_a_damaged_shard_comes_back_what_is_whole_and_not_held(store, run_cli):
    flip(store, "v1")
    (store / "damaged").mkdir()
    one_shard(store).rename(store / "damaged" / "x.h5")
    code, out, err = run_cli("store", "verify", "--restore", "--store", store)
    assert code == 1 and f"{N_VIDEOS - 1} videos brought back" in out and "v1: checksum differs" in err
    code, out, err = run_cli("store", "verify", "--restore", "--store", store)
    assert code == 1 and "0 videos brought back" in out and (store / "damaged" / "x.h5").exists()
    assert run_cli("store", "verify", "--store", store)[0] == 0


def test_repair_moves_damage_and_keeps_the_rest(store, run_cli):
    flip(store, "v1")
    code, out, _ = run_cli("store", "verify", "--store", store)
    command = shlex.split(out.split("`")[1])
    assert code == 1 and command == ["vad-pipeline", "store", "verify", "--repair", "--store", str(store)]
    code, out, err = run_cli(*command[1:])
    assert code == 0 and f"{N_VIDEOS - 1} videos left" in out and "v1: checksum differs" in err
    assert run_cli("store", "verify", "--repair", "--restore", "--store", store)[0] == 2
