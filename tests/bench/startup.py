"""How long one waits for the first word: `--help`, `store ls`, the first score of `detect` on cached features.

    python tests/bench/startup.py [--starts 10]

Each start is a process of its own, Python's start included; `detect` scores one video of 1,000 snippets, and is timed
until its curve is in place.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import machine, table
from seeded import seeded_checkpoint

from vad_pipeline.extract.recipe import NAMED_RECIPES

COMMAND = [Path(sys.executable).with_name("vad-pipeline")]
LIMITS = {"--help": 0.3, "store ls": 0.5, "detect": 3.0}  # seconds


def prepare(folder: Path) -> tuple[Path, Path]:
    """A store with one imported video, and a checkpoint with random weights."""
    np.save(folder / "a__0.npy", np.random.default_rng(0).standard_normal((1000, 512)).astype(np.float16))
    (folder / "list.csv").write_text("path,label\na__0.npy,Normal\n")
    store = folder / "store"
    subprocess.run([*COMMAND, "store", "import", folder / "list.csv", "--store", store, "--quiet"], check=True)
    checkpoint = folder / "random.safetensors"
    seeded_checkpoint(checkpoint, preset="ucf-crime", recipe=NAMED_RECIPES["vadclip"].recipe, crop=0, seed=0)
    return store, checkpoint


def seconds_until(results: Path | None, command: list) -> float:
    """Until a command's first curve lies in `results`; None: until it has ended."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while results and process.poll() is None and not list((results / "curves").glob("*.h5")):
            time.sleep(0.005)
        seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return seconds if results else time.perf_counter() - started


def main() -> int:
    """Measure and print a Markdown table; 1 where a median is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=10)
    starts = parser.parse_args().starts
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, checkpoint = prepare(folder)
        commands = {
            "--help": lambda _: ["--help"],
            "store ls": lambda _: ["store", "ls", "--store", store],
            "detect": lambda i: ["detect", "--store", store, "--checkpoint", checkpoint, "--out", folder / str(i)],
        }
        rows, late = [], False
        for command, arguments in commands.items():
            seconds = []
            for index in range(starts):
                done = (folder / str(index)) if command == "detect" else None
                seconds.append(seconds_until(done, [*COMMAND, *arguments(index)]))
            median = statistics.median(seconds)
            late |= median > LIMITS[command]
            rows.append((f"`{command}`", f"{median:.2f}", f"{max(seconds):.2f}", f"{LIMITS[command]}"))
        table(("start", "median s", "worst s", "aim"), rows)
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
