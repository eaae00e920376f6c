"""Blind identification of released features: `python tests/bench/identify.py`.

Features are made by plain code under settings drawn by chance, every second time rounded to float16, and identified
from the video alone; then from a copy of the video that was encoded once more. Prints how many were found. Found means:
the very setting, or one that is the same picture for picture on the rows compared; from the copy: geometry, crop,
offset, frames and rate, or settings that fit as well within the video's own noise and are listed as such.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from released_features import drawn_setting, encoded_again, panned_video, released_features
from toy_tower import write_toy_tower

from vad_pipeline.extract.encoder import ClipEncoder
from vad_pipeline.extract.encoder_config import EncoderConfig
from vad_pipeline.extract.identify import VERDICTS, Identification, identify
from vad_pipeline.extract.reader import PyavReader
from vad_pipeline.extract.released import Released
from vad_pipeline.extract.settings import Setting


def found(got: Identification, truth: Setting) -> bool:
    """Whether nothing of the truth was missed that the video can tell."""
    best = got.best[0]
    return best.equal or best.setting == truth or best.error < 1e-5


def found_in_copy(got: Identification, truth: Setting) -> bool:
    """The same, of what re-encoding leaves to be told."""
    mine, theirs = got.best[0].setting.steps(), truth.steps()
    steps = ("geometry", "crop", "frames", "offset", "rate")
    return all(mine[name] == theirs[name] or theirs[name] in got.unsettled.get(name, ()) for name in steps)


def main() -> None:
    """Draw, make, identify, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, help="Default: one that is rendered.")
    parser.add_argument("--settings", type=int, default=40)
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tower = EncoderConfig(write_toy_tower(folder / "toy"), "random:0", device="cpu", precision="fp32")
        encoder = ClipEncoder(tower)
        video = options.video or panned_video(folder / "panned.mp4")
        copy = encoded_again(video, folder / "copy.mp4")
        for words, path, n, is_right in (
            ("from the video", video, options.settings, found),
            ("from a copy encoded once more", copy, options.copies, found_in_copy),
        ):
            seconds, right, verdicts = [], 0, dict.fromkeys(VERDICTS, 0)
            for index in range(n):
                truth = drawn_setting(rng)
                values = released_features(video, truth, encoder)
                np.save(folder / "released.npy", values.astype(np.float16) if index % 2 else values)
                started = time.perf_counter()
                released = Released.read(folder / "released.npy")
                got = identify(partial(PyavReader, path), released, Setting(), encoder)
                seconds.append(time.perf_counter() - started)
                verdicts[got.verdict] += 1
                right += is_right(got, truth)
                if not is_right(got, truth):
                    print(f"missed: {truth.steps()}\n   got: {got.best[0].setting.steps()} ({got.verdict})")
            print(f"{words}: {right} of {n} found, median {statistics.median(seconds):.1f} s; verdicts {verdicts}")


if __name__ == "__main__":
    main()
