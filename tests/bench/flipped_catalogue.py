"""Flip one bit anywhere in a store's catalogue, again and again: `python tests/bench/flipped_catalogue.py`.

Each flip is made once before the store is opened and once while it is open. Then everything that commands ask is asked:
no bit may end anything, and joining the shards must lose no video. Answers may differ where a bit flips while the store
is open and an index within the file loses a row. Prints the counts; exits 1 at a lost video.
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store import upkeep
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.exchange import ImportConfig, import_list


def make_store(folder: Path, n_videos: int) -> Path:
    """A store of small videos, each in a shard of its own."""
    names = [f"v{number:03d}" for number in range(n_videos)]
    for name in names:
        np.save(folder / f"{name}.npy", np.full((2, 512), 0.5, np.float16))
    (folder / "list.csv").write_text("".join(f"{name}.npy,Abuse\n" for name in names))
    with EmbeddingStore(folder / "store", create=True) as store:
        import_list(folder / "list.csv", store, ImportConfig(recipe=Recipe(), fps=30))
    return folder / "store"


def answers(store: EmbeddingStore) -> tuple:
    """What commands ask a catalogue."""
    entries = store.entries()
    recipe_id = entries[0].recipe_id
    looked_up = store.entries_of([entry.video for entry in entries], recipe_id)
    versions = {shard: store.catalogue.versions_in(shard) for shard in store.catalogue.shards()}
    return entries, looked_up, len(store.of_size(-1, recipe_id)), versions, [entry.crop_numbers for entry in entries]


def flip(path: Path, rng: random.Random) -> int:
    """Flip one bit of a file in place; where."""
    place = rng.randrange(path.stat().st_size)
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1 << rng.randrange(8)]))
    return place


def trial(whole: Path, store: Path, rng: random.Random, *, is_open: bool, merged: bool) -> tuple[int, tuple, list[str]]:
    """Where a bit was flipped in a copy of a store, what it answered, and what it holds in the end."""
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(whole, store)
    if not is_open:
        place = flip(store / "catalogue.sqlite", rng)
    with EmbeddingStore(store) as opened:
        if is_open:
            place = flip(store / "catalogue.sqlite", rng)
        answered = answers(opened)
        opened.touch(answered[0][0], 5)
        opened.flush()
        if merged:
            upkeep.merge(opened)
    (store / "catalogue.sqlite").unlink()
    with EmbeddingStore(store) as opened:
        return place, answered, [entry.video for entry in opened.entries()]


def main() -> None:
    """Flip and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=400)
    parser.add_argument("--videos", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, found = random.Random(options.seed), Counter()

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found["rebuilt"] += "rebuilt" in record.getMessage()

    logging.getLogger("vad_pipeline").addHandler(Heard())
    with tempfile.TemporaryDirectory() as temporary:
        whole = make_store(Path(temporary), options.videos)
        with EmbeddingStore(whole) as opened:
            expected = answers(opened)
        for number in range(options.flips):
            is_open, merged = bool(number % 2), number % 8 > 5
            place, answered, held = trial(whole, Path(temporary) / "copy", rng, is_open=is_open, merged=merged)
            found["same answers"] += answered == expected
            if answered != expected and not is_open:
                raise SystemExit(f"byte {place}: other answers")
            if held != [entry.video for entry in expected[0]]:
                raise SystemExit(f"byte {place}: videos lost: {len(held)} held")
    print(f"{options.flips} bits flipped: {dict(found)}; no video lost, nothing ended")


if __name__ == "__main__":
    main()
