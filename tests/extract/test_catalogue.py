"""The catalogue may be deleted, and any bit of it may flip, at any moment: it is rebuilt from the shards."""

import os
import random
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store import catalogue, upkeep
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.exchange import ImportConfig, import_list

N_VIDEOS, N_FLIPS = 8, 24


@pytest.fixture
def store(tmp_path) -> Path:
    """A store of some videos in several shards."""
    names = [f"v{number:02d}" for number in range(N_VIDEOS)]
    for name in names:
        np.save(tmp_path / f"{name}.npy", np.full((2, 512), 0.5, np.float16))
    (tmp_path / "list.csv").write_text("".join(f"{name}.npy,Abuse\n" for name in names))
    with EmbeddingStore(tmp_path / "store", create=True) as opened:
        import_list(tmp_path / "list.csv", opened, ImportConfig(recipe=Recipe(), fps=30))
    return tmp_path / "store"


def used(opened: EmbeddingStore) -> list[str]:
    """Ask the catalogue all that commands ask; the ids of all videos."""
    opened.catalogue.sync()
    entries = opened.entries()
    assert {entry.crop_numbers for entry in entries} == {(0,)} and opened.of_size(-1, entries[0].recipe_id)
    assert opened.entries_of([entry.video for entry in entries], entries[0].recipe_id)
    opened.touch(entries[0], 5)
    opened.flush()
    return [entry.video for entry in entries]


def test_deleted_while_it_is_in_use(store, caplog):
    with EmbeddingStore(store) as opened, EmbeddingStore(store) as other:
        expected = used(opened)
        opened.catalogue.path.unlink()
        assert used(opened) == used(other) == expected  # each finds out, and one of them makes it anew
        assert opened.catalogue.path.exists()
        opened.catalogue.path.unlink()
        assert upkeep.merge(opened) == N_VIDEOS and used(other) == expected
    assert "rebuilt from the shards" in caplog.text
    with EmbeddingStore(store) as again:
        assert used(again) == expected and again.problems == []


def test_a_catalogue_that_a_store_of_others_brings_along_knows_none_of_its_shards(store, tmp_path, monkeypatch):
    read = []

    def read_apart(paths, function, *given):
        read.extend(paths)
        return function(*given)

    monkeypatch.setattr(catalogue, "read_apart", read_apart)
    copy = Path(shutil.copytree(store, tmp_path / "copy"))  # its shards have the times of the first ones
    for each in (store, copy):
        assert EmbeddingStore(each).problems == []
    assert sorted(read) == sorted(copy.glob("shards/*.h5"))
    EmbeddingStore(copy).close()
    assert len(read) == N_VIDEOS


def test_whoever_may_write_in_the_store_may_write_its_catalogue(store):
    before = os.umask(0o002)
    try:
        with EmbeddingStore(store) as opened:
            opened.catalogue.path.unlink()
            used(opened)
            assert opened.catalogue.path.stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    with path.open("r+b") as file:
        file.write(data)


@pytest.mark.parametrize("seed", range(N_FLIPS))
def test_any_bit_may_flip(store, seed):
    """The whole sweep is tests/bench/flipped_catalogue.py."""
    rng = random.Random(seed)
    for _ in range(2):
        flip(store / "catalogue.sqlite", rng)
        with EmbeddingStore(store) as opened:
            assert used(opened) == [f"v{number:02d}" for number in range(N_VIDEOS)]
            flip(store / "catalogue.sqlite", rng)
            used(opened)
            opened.catalogue.check()
            assert used(opened) == [f"v{number:02d}" for number in range(N_VIDEOS)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE videos SET crops = '[0' WHERE video = 'v03'",
        "UPDATE videos SET written_ns = 'x'",
        "UPDATE videos SET video = CAST(x'ff' AS TEXT) WHERE video = 'v03'",
        "DELETE FROM videos WHERE video = 'v03'",
        "UPDATE videos SET name = 'other' WHERE video = 'v03'",
    ],
)
def test_a_row_that_is_not_what_was_written_loses_no_video(store, statement):
    with EmbeddingStore(store) as opened:
        with sqlite3.connect(store / "catalogue.sqlite") as db:
            db.execute(statement)
        assert upkeep.merge(opened) == N_VIDEOS
        assert [entry.video for entry in opened.entries()] == [f"v{number:02d}" for number in range(N_VIDEOS)]


def test_a_video_that_the_index_has_lost_stays_where_another_is_removed(store):
    with EmbeddingStore(store) as opened:
        upkeep.merge(opened)
        with sqlite3.connect(store / "catalogue.sqlite") as db:
            db.execute("DELETE FROM videos WHERE video = 'v03'")
        upkeep.remove(opened, opened.entries()[:1])
        assert [entry.video for entry in opened.entries()] == [f"v{number:02d}" for number in range(1, N_VIDEOS)]


def test_verify_finds_an_index_that_disagrees(store, caplog):
    with EmbeddingStore(store) as opened:
        data = bytearray((store / "catalogue.sqlite").read_bytes())
        name = opened.entries()[3].name.encode()
        data[data.rindex(name) + 2] ^= 1  # in the table or in an index
        (store / "catalogue.sqlite").write_bytes(data)
    with EmbeddingStore(store) as opened:
        assert list(upkeep.verify(opened)) == []
    assert "rebuilt from the shards" in caplog.text


def test_a_catalogue_that_another_run_has_made_anew_is_not_taken_away(store):
    with EmbeddingStore(store) as one, EmbeddingStore(store) as other:
        (store / "catalogue.sqlite").unlink()
        used(one)
        made = (store / "catalogue.sqlite").stat().st_ino
        used(other)
        assert (store / "catalogue.sqlite").stat().st_ino == made
