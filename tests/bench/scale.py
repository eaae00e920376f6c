"""What an archive of a million videos costs beside the work itself, by simulation: `python tests/bench/scale.py`.

A store whose catalogue holds a million videos (of a hundred thousand of them the files exist, a few bytes each, and one
has real features), then, each in a process of its own: `extract` over the 100,000 files that are held already,
`store ls --limit 20`, `store ls` of all and the same entries read off the catalogue alone, opening one video. Prints a
Markdown table of time and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from vad_pipeline.extract.embed.encoder_config import EncoderConfig, load_weights, model_identity
from vad_pipeline.extract.files import SourceFile, fingerprint
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.extract.records import VideoEmbeddings
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.shards import SHARD_BYTES, group_name

FRAMES = 1600
PER_SHARD = 600  # videos of this length in a shard of 128 MB
BATCH = 20_000
EXTRACT = ("extract", "--like", "quick", "--pretrained", "random:0", "--device", "cpu", "--quiet")
OPEN_ONE = """
import sys
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
with EmbeddingStore(sys.argv[1]) as store:
    entry = store.entry("cam000/v0000000", sys.argv[2])
    print(store.get(entry).features.shape)
"""
READ_ALL = """
import sys
from pathlib import Path
from vad_pipeline.extract.store.catalogue import Catalogue
folder = Path(sys.argv[1])
print(sum(1 for _ in Catalogue(folder / "catalogue.sqlite", folder / "shards", store_id=sys.argv[2]).each()))
"""


def simulate(folder: Path, n_videos: int, n_files: int) -> str:
    """A store of `n_videos`, and `n_files` of them as files below folder/raw; returns the recipe id."""
    recipe = NAMED_RECIPES["quick"].recipe
    config = EncoderConfig(recipe.model, "random:0")
    weights = load_weights(config.pretrained, config.model)
    recipe = replace(recipe, model=model_identity(config.model), weights=weights.identity)
    raw = folder / "raw"
    for camera in range(-(-n_files // 1000)):
        (raw / f"cam{camera:03d}").mkdir(parents=True)
    with EmbeddingStore(folder / "store", create=True) as store:
        first = raw / "cam000" / "v0000000.mp4"
        first.write_bytes(b"0000000")
        source = SourceFile.of(first)
        n = FRAMES // 16
        edges = np.arange(n + 1) * 0.64
        rng = np.random.default_rng(0)
        video = VideoEmbeddings(
            "cam000/v0000000",
            rng.standard_normal((1, n, 512)).astype(np.float32),
            (0,),
            np.stack([edges[:-1], edges[1:]], axis=1),
            np.arange(FRAMES) / 25,
            fps=Fraction(25),
            recipe=recipe,
            info=None,
        )
        made = store.put(video, source=source, content=fingerprint(first), precision="fp32", runtime="bench")
        store.flush()
        catalogue = store.catalogue
        for start in range(1, n_videos, BATCH):
            entries = []
            for number in range(start, min(start + BATCH, n_videos)):
                video_id = f"cam{number // 1000:03d}/v{number:07d}"
                path = raw / f"{video_id}.mp4"
                size, mtime_ns = 7, number
                if number < n_files:
                    path.write_bytes(b"%07d" % number)
                    stat = path.stat()
                    size, mtime_ns = stat.st_size, stat.st_mtime_ns
                entries.append(
                    replace(
                        made,
                        name=group_name(video_id, recipe.recipe_id),
                        shard=f"simulated{number // PER_SHARD:06d}.h5",
                        video=video_id,
                        source=str(path),
                        size=size,
                        mtime_ns=mtime_ns,
                        fingerprint=f"{number:064x}",
                    )
                )
            for shard in {entry.shard for entry in entries}:
                if not (store.shards / shard).exists():
                    with (store.shards / shard).open("wb") as file:
                        file.truncate(SHARD_BYTES)  # sparse: as large as a shard, and no disk used
            catalogue.add(entries)
    return recipe.recipe_id


def measured(command: list[str]) -> tuple[float, float, str]:
    """Seconds, peak MB and standard output of a command in a process of its own."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: exit {process.returncode}\n{err.read().decode()[-2000:]}")
        return seconds, usage.ru_maxrss / 1024, out.read().decode()


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--simulate", help="only make a store in this folder, and print its recipe id")
    options = parser.parse_args()
    if options.simulate:
        print(simulate(Path(options.simulate), options.videos, options.files))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        started = time.perf_counter()
        # in a process of its own: peak memory of a child begins with its parent's
        sizes = ["--videos", str(options.videos), "--files", str(options.files)]
        simulating = [sys.executable, __file__, "--simulate", temporary, *sizes]
        recipe_id = subprocess.run(simulating, check=True, capture_output=True, text=True).stdout.strip()
        store, raw = str(folder / "store"), str(folder / "raw")
        size = (folder / "store" / "catalogue.sqlite").stat().st_size / 2**20
        print(f"simulated in {time.perf_counter() - started:.0f} s; catalogue of {size:.0f} MB\n", flush=True)
        main_ = [sys.executable, "-c", "from vad_pipeline.pipeline.cli import main; main()"]
        extract = [*main_, *EXTRACT, raw, "--store", store]
        print(f"| {options.videos:,} videos in the catalogue | seconds | peak MB |\n|---|---|---|", flush=True)

        def row(name: str, command: list[str], check) -> None:
            seconds, megabytes, out = measured(command)
            if not check(out):
                raise SystemExit(f"{name}: {out[:500]}")
            print(f"| {name} | {seconds:.2f} | {megabytes:.0f} |", flush=True)

        def cached(_: str) -> bool:
            log = max((folder / "store" / "outcomes").glob("*.jsonl"))
            with log.open() as file:
                return sum(json.loads(line)["counts"]["cached"] for line in file) == options.files

        row(f"`extract` over {options.files:,} files held", extract, cached)
        listing = [*main_, "store", "ls", "--limit", "20", "--store", store]
        row("`store ls --limit 20`", listing, lambda out: len(out.splitlines()) == 20)
        lines = [*main_, "store", "ls", "--store", store]
        row("`store ls`", lines, lambda out: len(out.splitlines()) == options.videos)
        store_id = json.loads((folder / "store" / "store.json").read_text())["uuid"]
        alone = [sys.executable, "-c", READ_ALL, store, store_id]
        row("the catalogue read alone", alone, lambda out: int(out) == options.videos)
        row(
            "opening one video",
            [sys.executable, "-c", OPEN_ONE, store, recipe_id],
            lambda out: out.strip() == f"(1, {FRAMES // 16}, 512)",
        )


if __name__ == "__main__":
    main()
