"""Kill a run again and again, and see that nothing is lost: `python tests/bench/kill.py [--command detect]`.

Renders videos, runs `extract` (or `detect`) with workers in a process group of its own, kills the group with SIGKILL at
a random moment, starts the same command again, and so on. After every kill: all that was reported done is held, nothing
is held twice, every shard verifies. In the end the store (or the curves) must equal, bit for bit, that of an
uninterrupted run with as many threads. Exits 1 at the first difference.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import h5py
import numpy as np
from preloaded import Command
from toy_tower import write_toy_tower

from vad_pipeline.extract.store import upkeep
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.pipeline.results.folder import Results


def render(folder: Path, n_videos: int, n_frames: int) -> None:
    """Small videos, each different."""
    folder.mkdir(parents=True)
    for index in range(n_videos):
        rng = np.random.default_rng(index)
        base = rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        with av.open(str(folder / f"v{index:03d}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(25))
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(n_frames + index % 7):
                frame = av.VideoFrame.from_ndarray(np.roll(base, number, axis=1), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def reported(outcomes: Path) -> set[str]:
    """Videos that outcome files call done."""
    done = set()
    for path in outcomes.glob("*.jsonl"):
        for line in path.read_text(errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # cut off by the kill
            if record.get("status") == "ok":
                done.add(record["video"])
    return done


def check_store(store: Path) -> str | None:
    """What is wrong with a store after a kill, or None."""
    if not (store / "store.json").exists():
        return None
    with EmbeddingStore(store) as opened:
        problems = [*map(str, opened.problems), *map(str, upkeep.verify(opened))]
        held = [entry.video for entry in opened.entries()]
    if problems:
        return f"damage: {problems[:3]}"
    if len(held) != len(set(held)):
        return "a video is held twice"
    lost = reported(store / "outcomes") - set(held)
    return f"reported done and lost: {sorted(lost)[:3]}" if lost else None


def check_results(out: Path) -> str | None:
    """What is wrong with results after a kill, or None."""
    if not (out / "run.json").exists():
        return None
    held = [curve.video_id for curve in Results(out)]  # raises where a curve cannot be read
    if len(held) != len(set(held)):
        return "a curve is held twice"
    lost = reported(out / "outcomes") - set(held)
    return f"reported done and lost: {sorted(lost)[:3]}" if lost else None


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every data set, by group and name; each group in one shard only."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            for name, node in file["videos"].items():
                for key in node:
                    if f"{name}/{key}" in found:
                        raise SystemExit(f"{name} is in two shards")
                    found[f"{name}/{key}"] = node[key][()].tobytes()
    return found


def main(given: list[str] | None = None) -> None:
    """Run, kill, compare, as the words on the command line say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", choices=("extract", "detect"), default="extract")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--workers", type=int, default=2, help="0: none, the command itself works")
    parser.add_argument("--stride", type=int, default=4, help="a run is killed before it reports this many videos more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", help="for detect")
    options = parser.parse_args(given)
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = write_toy_tower(folder / "toy")
        render(folder / "raw", options.videos, options.frames)
        extract = ["extract", str(folder / "raw"), "--pretrained", "random:0"]
        workers = ["--workers", str(options.workers)] if options.workers else []
        extract += ["--model", model, "--device", "cpu", *workers]
        whole, killed = folder / "whole", folder / "killed"
        if options.command == "extract":
            whole_run, killed_run = [*extract, "--store", str(whole)], [*extract, "--store", str(killed)]
            check, shards = check_store, "shards"
        else:
            if Command([*extract, "--store", str(folder / "store"), "--quiet"]).wait() != 0:
                raise SystemExit("the features could not be made")
            detect = ["detect", "--store", str(folder / "store"), "--checkpoint", options.checkpoint]
            detect += ["--any-recipe", "--crop", "0", "--csv", *workers]
            whole_run, killed_run = [*detect, "--out", str(whole)], [*detect, "--out", str(killed)]
            check, shards = check_results, "curves"
        started = time.monotonic()
        if Command(whole_run).wait() != 0:
            raise SystemExit("the uninterrupted run failed")
        uninterrupted = time.monotonic() - started
        expected, completed, kills = contents(whole / shards), 0, 0
        while True:
            process = Command(killed_run)
            if kills < options.kills and killed_at_random(process, killed / "outcomes", rng, options.stride):
                kills += 1
                problem = check(killed)
                if problem:
                    raise SystemExit(f"after kill {kills}: {problem}")
                continue
            _, errors = process.communicate()
            problem = check(killed) or differences(contents(killed / shards), expected)
            if process.returncode != 0 or problem:
                raise SystemExit(f"at the end: exit {process.returncode}, {problem}\n{errors}")
            completed += 1
            if kills == options.kills:
                break
            shutil.rmtree(killed)  # all over again
        print(
            f"{options.command}: {options.videos} videos, {options.workers} workers, an uninterrupted run takes "
            f"{uninterrupted:.1f} s; {kills} runs killed, {completed} times to the end: nothing lost, nothing twice, "
            f"{len(expected)} data sets bit for bit those of the uninterrupted run"
        )


def killed_at_random(process: Command, outcomes: Path, rng: random.Random, stride: int) -> bool:
    """Kill the whole group once a few more videos are reported and some more time has passed; False if it ended."""
    enough = len(reported(outcomes)) + rng.randrange(stride)
    while len(reported(outcomes)) < enough and process.poll() is None:
        time.sleep(0.02)
    try:
        process.wait(timeout=rng.uniform(0, 0.1 * stride))
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


def differences(ours: dict[str, bytes], theirs: dict[str, bytes]) -> str | None:
    """Which data sets differ, or None."""
    different = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    return f"{len(different)} data sets differ: {different[:3]}" if different else None


if __name__ == "__main__":
    main()
