"""README's picture: the curve of one held-out video of the demo under frames of it.

make demo && .venv/bin/python docs/curve.py demo docs/curve.png [VIDEO]
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import av
import matplotlib.pyplot as plt
import numpy as np

from vad_pipeline.pipeline.results import Results

N_FRAMES = 6


def main(demo: Path, out: Path, video: str | None = None) -> None:
    """Draw VIDEO, or the held-out one whose event is nearest to its middle."""
    curves = {curve.video_id: curve for curve in Results.open(demo / "results")}
    with (demo / "archive" / "annotations.csv").open() as file:
        ranges = [row for row in csv.DictReader(file) if row["video"] in curves and row["start_frame"]]
    truth = min((row for row in ranges if video in (row["video"], None)), key=lambda row: off_centre(row, curves))
    curve = curves[truth["video"]]
    with av.open(str(demo / "archive" / "videos" / f"{curve.video_id}.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(figsize=(9, 3.4), layout="constrained")
    grid = figure.add_gridspec(2, N_FRAMES, height_ratios=(1, 1.1))
    for column, index in enumerate(np.linspace(0, len(frames) - 1, N_FRAMES).astype(int)):
        axis = figure.add_subplot(grid[0, column])
        axis.imshow(frames[index])
        axis.set_title(f"{curve.frame_seconds[index]:.1f} s", fontsize=8)
        axis.axis("off")
    axis = figure.add_subplot(grid[1, :])
    start, end = (curve.frame_seconds[int(truth[key]) - (key == "end_frame")] for key in ("start_frame", "end_frame"))
    axis.axvspan(start, end, color="#f2b134", alpha=0.35, lw=0, label=f"truth: {truth['category']}")
    axis.plot(curve.frame_seconds, curve.scores, color="#1f4e79", label="anomaly score, held-out video")
    axis.set(xlim=(0, curve.frame_seconds[-1]), ylim=(0, 1.02), xlabel="seconds", ylabel="score", title=curve.video_id)
    axis.legend(loc="upper left", frameon=False)
    figure.savefig(out, dpi=110)


def off_centre(truth: dict, curves: dict) -> float:
    """How far an event's middle is from its video's."""
    return abs(int(truth["start_frame"]) + int(truth["end_frame"]) - curves[truth["video"]].n_frames)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
