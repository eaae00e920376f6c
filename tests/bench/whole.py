"""Whole processes: `vad-pipeline extract` with default options and with every forced way, against the naive script.

Rendered footage of 640x360, recipe quick, warm: the tower is compiled and this machine timed before. Each
takes its turn in every round. Says too how `doctor` does, cold and warm.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from measure import in_turn, machine, table
from speed import render_cctv

from vad_pipeline.extract.embed.ways import candidates, multiplies_bf16
from vad_pipeline.extract.timings import CACHE_VARIABLE

NAIVE = (
    "import sys, torch; from naive import clip_model, extract; "
    "extract(sys.argv[1], 'quick', *clip_model(torch.device('cpu')))"
)
CLI = "from vad_pipeline.pipeline.cli import main; main()"
HERE = Path(__file__).parent


def extract(path: Path, store: Path, *options: str) -> None:
    """Extract into a store that holds nothing but a compiled tower."""
    shutil.rmtree(store / "shards", ignore_errors=True)
    where = ("--store", str(store), "--like", "quick", "--pretrained", "random:0", "--device", "cpu")
    call(CLI, "extract", str(path), *where, *options, "--quiet")


def call(program: str, *arguments: str) -> None:
    """Run a program in a process of its own, and refuse one that fails."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=HERE)
    if done.returncode:
        raise SystemExit(done.stderr)


def doctor_seconds() -> dict[str, float]:
    """Seconds that `doctor` takes cold, where nothing was timed, and warm."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ[CACHE_VARIABLE] = cache
        try:
            job: Callable[[], None] = partial(call, CLI, "doctor", "--json")
            cold = in_turn({"doctor, cold": job}, 1, warm=False)
            return cold | in_turn({"doctor, warm": job}, 3, warm=False)
        finally:
            del os.environ[CACHE_VARIABLE]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="Of footage, 5 frames each.")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.seconds} s of footage, {options.rounds} rounds, medians; {machine()}")
    with tempfile.TemporaryDirectory() as folder:
        path = render_cctv(Path(folder) / "cctv.mp4", options.seconds)
        jobs = {
            "naive": partial(call, NAIVE, str(path)),
            "default": partial(extract, path, Path(folder) / "default"),
        }
        for runtime, precision in candidates(torch.device("cpu")):
            if precision == "fp32" or multiplies_bf16():
                forced = ("--runtime", runtime, "--precision", precision)
                jobs[f"{runtime} {precision}"] = partial(
                    extract, path, Path(folder) / f"{runtime}-{precision}", *forced
                )
        seconds = in_turn(jobs, options.rounds)
    base = seconds["naive"]
    rows = [(name, f"{taken:.1f}", f"{base / taken:.2f}") for name, taken in seconds.items()]
    table(("whole process", "s", "times as fast as naive"), rows)
    table(("", "s"), [(name, f"{taken:.1f}") for name, taken in doctor_seconds().items()])


if __name__ == "__main__":
    main()
