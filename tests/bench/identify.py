"""Blind identification of released features: `python tests/bench/identify.py`.

Features are made by plain code under settings drawn by chance, every second time rounded to float16, and identified
from the video alone; then from a copy of the video that was encoded once more. Prints how many were found. Found means:
all released values come out, on every row; from the copy: geometry, crop and the very frames of each row compared, or
what the verdict lists as fitting as well within the video's own noise.
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

from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.embed.encoder import ClipEncoder
from vad_pipeline.extract.embed.encoder_config import EncoderConfig
from vad_pipeline.extract.recipe import CLIP_WIDTH
from vad_pipeline.extract.verify.identify import VERDICTS, Identification, identify
from vad_pipeline.extract.verify.released import Released
from vad_pipeline.extract.verify.settings import Setting, converted, snippet_frames

ROUNDED = 5e-4  # float16 moves a row by 3e-4 of its length; another interpolation by ten times as much


def found(got: Identification, truth: Setting, video: Path, encoder: ClipEncoder, values: np.ndarray) -> bool:
    """Whether the best setting gives what the truth gave, on every row."""
    own = released_features(video, got.best[0].setting, encoder)[: len(values)]
    return own.shape == values.shape and np.linalg.norm(own - values) < ROUNDED * np.linalg.norm(values)


def found_in_copy(got: Identification, truth: Setting, video: Path, *_) -> bool:
    """Geometry, crop and frames, of what re-encoding leaves to be told."""
    mine, theirs = got.best[0].setting.steps(), truth.steps()
    steps = ["geometry", "crop", *([] if same_frames(got, truth, video) else ["frames", "offset", "rate"])]
    return all(mine[name] == theirs[name] or theirs[name] in got.unsettled.get(name, ()) for name in steps)


def same_frames(got: Identification, truth: Setting, video: Path) -> bool:
    """Whether both take the very same frames: `middle` at offset 2 is `first` at offset 10."""
    reader = PyavReader(video)
    for _ in reader:
        pass
    seconds = reader.info().frame_seconds
    best = got.best[0].setting
    mine, theirs = converted(seconds, best.rate), converted(seconds, truth.rate)
    return all(np.array_equal(snippet_frames(best, mine, row), snippet_frames(truth, theirs, row)) for row in got.rows)


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
                released = Released.read(folder / "released.npy", CLIP_WIDTH)
                got = identify(partial(PyavReader, path), released, Setting(), encoder)
                seconds.append(time.perf_counter() - started)
                verdicts[got.verdict] += 1
                if is_right(got, truth, video, encoder, values):
                    right += 1
                else:
                    print(f"missed: {truth.steps()}\n   got: {got.best[0].setting.steps()} ({got.verdict})")
            print(f"{words}: {right} of {n} found, median {statistics.median(seconds):.1f} s; verdicts {verdicts}")


if __name__ == "__main__":
    main()
