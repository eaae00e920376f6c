"""The store: one definition of a hit, nothing half that a later run trusts, the catalogue losable."""

import json
import os
import shutil
import sqlite3
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from vad_pipeline.extract.errors import ConfigError, GoneFromStore, StoreError
from vad_pipeline.extract.files import SourceFile, fingerprint
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.records import VideoEmbeddings, VideoInfo
from vad_pipeline.extract.store import embedding_store as store_module
from vad_pipeline.extract.store import shards, upkeep, versions
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.stored import write_copy

RECIPE = Recipe(weights="random:0")


def video(video_id: str, *, n: int = 3, crops=(0,), recipe=RECIPE, seed=0) -> VideoEmbeddings:
    rng = np.random.default_rng(seed)
    n_frames = n * 16
    seconds = np.arange(n_frames) / 25
    info = VideoInfo("x.mp4", n_frames, n_frames, Fraction(25), 64, 48, seconds, 0, 0, (), "pyav cpu")
    edges = np.arange(n + 1) * 16 / 25
    embeddings = rng.standard_normal((len(crops), n, 512)).astype(np.float32)
    return VideoEmbeddings(
        video_id, embeddings, crops, np.stack([edges[:-1], edges[1:]], 1), seconds, Fraction(25), recipe, info
    )


def source_file(folder: Path, name: str = "x.mp4", content: bytes = b"film") -> SourceFile:
    (folder / name).write_bytes(content)
    return SourceFile.of(folder / name)


def put(store: EmbeddingStore, item: VideoEmbeddings, source: SourceFile):
    return store.put(item, source=source, content=fingerprint(source.path), precision="fp32", runtime="test")


@pytest.fixture
def store(tmp_path):
    with EmbeddingStore(tmp_path / "store", create=True) as opened:
        yield opened


def test_round_trip(store, tmp_path):
    item = video("cam 1/ä@b", crops=(0, 5))
    entry = put(store, item, source_file(tmp_path))
    held = store.get(entry)
    assert np.array_equal(held.features, item.embeddings.astype(np.float16))
    assert np.array_equal(held.frame_seconds, item.frame_seconds) and held.fps == 25
    assert np.array_equal(held.crop(5), item.embeddings[1].astype(np.float16))
    with pytest.raises(ConfigError, match="crop 3 is not in the store"):
        held.crop(3)


def test_a_shard_is_plain_hdf5_as_the_contract_has_it(store, tmp_path):
    put(store, video("a/b", crops=(0, 5)), source_file(tmp_path))
    (path,) = shards.shard_paths(store.shards)
    with h5py.File(path) as file:
        node = file[f"videos/a%2Fb@{RECIPE.recipe_id}"]
        assert node["features"].shape == (2, 3, 512) and node["features"].dtype == np.float16
        assert node["snippet_seconds"].shape == (3, 2) and node["frame_seconds"].dtype == np.float64
        expected = (
            "video n_frames fps width height snippet_len crops recipe recipe_id precision runtime source size "
            "mtime_ns fingerprint checksum"
        )
        assert set(expected.split()) <= set(node.attrs)
        assert node.attrs["video"] == "a/b" and json.loads(node.attrs["recipe"])["geometry"] == "vadclip"


def test_what_is_taken_in_is_found_before_and_after_it_is_indexed(store, tmp_path, monkeypatch):
    source = source_file(tmp_path)
    monkeypatch.setattr("vad_pipeline.extract.store.embedding_store.BATCH_SECONDS", 1e9)
    entry = put(store, video("a", crops=(0, 5)), source)
    for _ in range(2):
        assert store.entry("a", RECIPE.recipe_id) == entry and entry.crop_numbers == (0, 5)
        assert store.of_size(source.size, RECIPE.recipe_id) == [entry]
        assert store.entry("b", RECIPE.recipe_id) is None and store.of_size(1, RECIPE.recipe_id) == []
        assert store.entry("a", replace(RECIPE, tail="keep").recipe_id) is None
        store.flush()


def test_a_touched_source_is_remembered_through_a_merge(store, tmp_path):
    entry = put(store, video("a"), source_file(tmp_path))
    put(store, video("b"), source_file(tmp_path))
    store.touch(entry, 77)
    upkeep.merge(store)
    assert store.entry("a", RECIPE.recipe_id).mtime_ns == 77


def test_a_copy_under_another_id(store, tmp_path):
    entry = put(store, video("a"), source_file(tmp_path))
    twin = source_file(tmp_path, "twin.mp4")
    copied = write_copy(store.shards, entry, "twin", twin)
    store.take_in(copied)
    assert np.array_equal(store.get(copied).features, store.get(entry).features)
    assert store.entry("twin", RECIPE.recipe_id).source == twin.path
    assert list(upkeep.verify(store)) == []


def test_the_newest_counts_and_compact_drops_the_rest(store, tmp_path):
    source = source_file(tmp_path)
    put(store, video("a", seed=1), source)
    newest = put(store, video("a", seed=2), source)
    put(store, video("b", seed=3), source)
    assert store.entry("a", RECIPE.recipe_id).checksum == newest.checksum
    assert upkeep.merge(store) == 3
    (path,) = shards.shard_paths(store.shards)
    with shards.opened(path) as root:
        assert len(root) == 2
    assert store.entry("a", RECIPE.recipe_id).checksum == newest.checksum
    assert upkeep.merge(store) == 0 and upkeep.merge(store, everything=True) == 0
    assert list(upkeep.verify(store)) == []


@pytest.mark.parametrize("harm", ["delete", "garbage", "truncate", "old columns"])
def test_the_catalogue_can_be_lost(tmp_path, harm):
    with EmbeddingStore(tmp_path / "store", create=True) as store:
        entry = put(store, video("a"), source_file(tmp_path))
        catalogue = store.catalogue.path
    if harm == "delete":
        catalogue.unlink()
    elif harm == "garbage":
        catalogue.write_bytes(b"no database" * 1000)
    elif harm == "truncate":
        catalogue.write_bytes(catalogue.read_bytes()[:5000])
    else:
        with sqlite3.connect(catalogue) as db:
            db.executescript("DROP TABLE videos; CREATE TABLE videos (name, shard);")
    with EmbeddingStore(tmp_path / "store") as store:
        assert store.entries() == [entry]
        assert store.get(entry).features.shape == (1, 3, 512)


def test_rows_of_vanished_shards_are_forgotten(tmp_path):
    with EmbeddingStore(tmp_path / "store", create=True) as store:
        put(store, video("a"), source_file(tmp_path))
        put(store, video("b"), source_file(tmp_path))
        (store.shards / store.entry("a", RECIPE.recipe_id).shard).unlink()
    with EmbeddingStore(tmp_path / "store") as store:
        assert [entry.video for entry in store.entries()] == ["b"]


def test_a_reader_survives_a_merge_by_another_run(tmp_path):
    with EmbeddingStore(tmp_path / "store", create=True) as one, EmbeddingStore(tmp_path / "store") as other:
        entry = put(one, video("a"), source_file(tmp_path))
        put(one, video("b"), source_file(tmp_path))
        upkeep.merge(other)
        assert one.get(entry).entry.video == "a"


def test_bad_shards_are_named_and_cost_only_themselves(tmp_path):
    with EmbeddingStore(tmp_path / "store", create=True) as store:
        put(store, video("a"), source_file(tmp_path))
        (store.shards / "text.h5").write_text("no HDF5")
        with h5py.File(store.shards / "foreign.h5", "w") as file:
            file["x"] = 1
        whole = shards.shard_paths(store.shards)[0].read_bytes()
        (store.shards / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with EmbeddingStore(tmp_path / "store") as store:
        assert len(store.problems) == 3 and [e.video for e in store.entries()] == ["a"]
        assert {name for name, _ in upkeep.verify(store)} == {"text.h5", "foreign.h5", "cut.h5"}
        put(store, video("b"), source_file(tmp_path))
        upkeep.merge(store)
        assert (store.shards / "text.h5").exists()  # never deleted: it may be somebody's


def test_verify_finds_a_flipped_byte(store, tmp_path):
    item = video("a")
    put(store, item, source_file(tmp_path))
    (path,) = shards.shard_paths(store.shards)
    data = bytearray(path.read_bytes())
    place = data.index(item.embeddings.astype(np.float16).tobytes()[:64])
    data[place + 10] ^= 1
    path.write_bytes(bytes(data))
    ((name, problem),) = upkeep.verify(store)
    assert name == path.name and "checksum" in problem


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half(store, tmp_path, monkeypatch):
    put(store, video("a"), source_file(tmp_path))
    before = sorted(p.name for p in store.shards.iterdir())

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        put(store, video("b"), source_file(tmp_path))
    assert sorted(p.name for p in store.shards.iterdir()) == before


def test_what_is_put_last_counts_though_the_clock_was_set_back(store, tmp_path, monkeypatch):
    clock = SimpleNamespace(time_ns=lambda: 4 * 10**18, time=time.time)  # the year 2096
    monkeypatch.setattr(versions, "time", clock)
    put(store, video("a", seed=1), source_file(tmp_path))
    monkeypatch.undo()
    new = video("a", seed=2)
    put(store, new, source_file(tmp_path, content=b"another film"))
    for _ in range(2):
        assert np.array_equal(store.get(*store.entries()).features, new.embeddings.astype(np.float16))
        upkeep.merge(store)


def test_a_store_made_twice_at_once_is_one(tmp_path, monkeypatch):
    def overtaken(path, data):
        write_if_absent(path, b'{"schema": 1, "uuid": "first"}')
        write_if_absent(path, data)

    write_if_absent = store_module.write_if_absent
    monkeypatch.setattr(store_module, "write_if_absent", overtaken)
    EmbeddingStore(tmp_path / "S", create=True).close()
    assert json.loads((tmp_path / "S" / "store.json").read_text())["uuid"] == "first"
    assert sorted(p.name for p in (tmp_path / "S").iterdir()) == ["catalogue.sqlite", "shards", "store.json"]


def test_damage_elsewhere_does_not_hide_what_another_run_has_merged(store, tmp_path):
    entry = put(store, video("a"), source_file(tmp_path))
    (store.shards / entry.shard).rename(store.shards / "merged.h5")
    (store.shards / "newer.h5").write_bytes(b"damaged")
    assert store.get(entry).entry.video == "a"
    (store.shards / "merged.h5").unlink()
    with pytest.raises(GoneFromStore, match="gone while it was in use"):
        store.get(entry)


def test_heads(tmp_path):
    with pytest.raises(ConfigError, match="no feature store"):
        EmbeddingStore(tmp_path / "none")
    EmbeddingStore(tmp_path / "new", create=True).close()
    (tmp_path / "new" / "store.json").write_text('{"schema": 99, "uuid": "x"}')
    with pytest.raises(StoreError, match="schema 99.*upgrade"):
        EmbeddingStore(tmp_path / "new")
    (tmp_path / "new" / "store.json").write_text("{")
    with pytest.raises(StoreError, match="store.json: cannot be read"):
        EmbeddingStore(tmp_path / "new")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        EmbeddingStore(tmp_path / "full", create=True)


def test_a_copied_store_works_elsewhere(store, tmp_path):
    put(store, video("a"), source_file(tmp_path))
    shutil.copytree(store.path / "shards", tmp_path / "elsewhere" / "shards")
    shutil.copy(store.path / "store.json", tmp_path / "elsewhere")
    with EmbeddingStore(tmp_path / "elsewhere") as copy:
        assert [entry.video for entry in copy.entries()] == ["a"]


def test_large_shards_are_left_alone_by_merge(store, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 60_000)  # one of three snippets is 13 kB
    put(store, video("big", n=100), source_file(tmp_path))
    for name in "abcdefgh":
        put(store, video(name, n=3), source_file(tmp_path))
    big = store.entry("big", RECIPE.recipe_id).shard
    upkeep.merge(store)
    assert store.entry("big", RECIPE.recipe_id).shard == big
    assert len(store.entries()) == 9 and 2 < len(store.catalogue.shards()) < 9
