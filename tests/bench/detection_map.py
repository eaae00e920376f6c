"""The mAP function against a plain one with sets of frame numbers, at the two data sets' full sizes, in one run.

The plain one is written here from the definition, as the published evaluation goes about it: one IoU at a time, every
frame's probability written out, segments as pairs of frame numbers that become sets wherever two are compared.
`python tests/bench/detection_map.py`: a minute.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from vad_pipeline.eval.detection import IOU_THRESHOLDS, Segments, localise

SHARED = Path(os.environ.get("VAD_SHARED", Path(__file__).parents[3] / "shared"))
SNIPPET_LEN = 16
TOLERANCE = 1e-9
REPEATS = 5
SEED = 0
SIZES = {  # name: videos, categories, anomalous videos, frames in all
    "UCF-Crime": (290, 14, 140, 1_109_680),
    "XD-Violence": (800, 7, 500, 2_330_384),
}


def real_snippets() -> list[int] | None:
    """Snippets of UCF-Crime's test videos, where the published frame counts are to hand."""
    counts = []
    for name, separator in (("anomaly", "|"), ("normal", " ")):
        path = SHARED / "annotations" / f"ucf_frame_counts_{name}.txt"
        if not path.exists():
            return None
        counts += [int(line.split(separator)[1]) for line in path.read_text().splitlines()]
    return [(count - 1) // SNIPPET_LEN for count in counts]


def seeded_snippets(rng: np.random.Generator, n_videos: int, n_frames: int) -> list[int]:
    """Lengths that spread as the real ones do, with that total."""
    shares = rng.lognormal(0, 1, n_videos)
    snippets = np.maximum(8, np.floor(shares / shares.sum() * n_frames / SNIPPET_LEN)).astype(int)
    snippets[snippets.argmax()] += n_frames // SNIPPET_LEN - snippets.sum()
    return snippets.tolist()


def draw(name: str) -> tuple[list[np.ndarray], list[tuple[int, int, int, int]]]:
    """Probabilities of each video (n, C) that wander, and true segments (category, video, start, end)."""
    rng = np.random.default_rng(SEED)
    n_videos, n_categories, n_anomalous, n_frames = SIZES[name]
    snippets = (real_snippets() if name == "UCF-Crime" else None) or seeded_snippets(rng, n_videos, n_frames)
    probabilities, truth = [], []
    for video, n in enumerate(snippets):
        walk = np.cumsum(rng.normal(0, 0.5, (n, n_categories)), axis=0)
        walk = np.exp(walk - walk.max(axis=1, keepdims=True))
        probabilities.append((walk / walk.sum(axis=1, keepdims=True)).astype(np.float32))
        if video >= n_anomalous:
            truth.append((0, video, 0, n * SNIPPET_LEN))
            continue
        category = 1 + video % (n_categories - 1)
        for _ in range(1 + rng.integers(3)):
            start = int(rng.integers(0, n * SNIPPET_LEN - 32))
            truth.append((category, video, start, start + int(rng.integers(16, 1 + n * SNIPPET_LEN - start))))
    return probabilities, truth


def plain_map(probabilities: list[np.ndarray], truth: list[tuple[int, int, int, int]]) -> list[float]:
    """mAP at each IoU, frame by frame and set by set."""
    return [plain_map_at(threshold, probabilities, truth) for threshold in IOU_THRESHOLDS]


def plain_map_at(threshold: float, probabilities: list[np.ndarray], truth: list[tuple[int, int, int, int]]) -> float:
    """mAP at one IoU."""
    precisions = []
    for category in range(probabilities[0].shape[1]):
        segments = []
        for video, values in enumerate(probabilities):
            segments += plain_segments(np.repeat(values[:, category].astype(np.float64), SNIPPET_LEN), video)
        segments.sort(key=lambda segment: -segment[0])
        true = [(video, (start, end)) for of, video, start, end in truth if of == category]
        taken, n_hits, total = set(), 0, 0.0
        for rank, (_, video, segment) in enumerate(segments, start=1):
            best, best_iou = None, -1.0
            for index, (of, true_segment) in enumerate(true):
                if of == video and index not in taken:
                    iou = iou_of(segment, true_segment)
                    if iou >= threshold and iou > best_iou:
                        best, best_iou = index, iou
            if best is not None:
                taken.add(best)
                n_hits += 1
                total += n_hits / rank
        precisions.append(total / len(true) if true else 0.0)
    return float(np.mean(precisions))


def plain_segments(frames: np.ndarray, video: int) -> list[tuple[float, int, tuple[int, int]]]:
    """Score, video and frames of what one curve proposes, non-maximum suppression included."""
    video_score = np.sort(frames)[::-1][: len(frames) // 16].mean()
    limit = frames.max() - 0.6 * (frames.max() - frames.min())
    found, start = [], None
    for frame, is_over in enumerate([*(frames > limit).tolist(), False]):
        if is_over and start is None:
            start = frame
        elif not is_over and start is not None:
            if frame - start >= 2:
                found.append((frames[start:frame].max() + 0.7 * video_score, video, (start, frame)))
            start = None
    found.sort(key=lambda segment: -segment[0])
    kept = []
    for segment in found:
        if all(iou_of(segment[2], other[2]) <= 0.6 for other in kept):
            kept.append(segment)
    return sorted(kept, key=lambda segment: segment[2])


def iou_of(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Intersection over union of two stretches, as sets of frames."""
    frames, other_frames = set(range(*one)), set(range(*other))
    return len(frames & other_frames) / len(frames | other_frames)


def array_map(probabilities: list[np.ndarray], truth: list[tuple[int, int, int, int]]) -> list[float]:
    """mAP at each IoU, as the package has it."""
    segments = Segments(*np.array(truth, np.int64).T)
    n_frames = [len(each) * SNIPPET_LEN for each in probabilities]
    found = localise(probabilities, n_frames, segments, snippet_len=SNIPPET_LEN, protocol="official")
    return found.mean_average_precision().tolist()


def timed(function: Callable, *arguments: object) -> tuple[float, list[float]]:
    """Seconds and value."""
    begin = time.perf_counter()
    value = function(*arguments)
    return time.perf_counter() - begin, value


def main() -> None:
    """Measure and print a Markdown table."""
    click.echo(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}\n"
    )
    click.echo("| size | videos | frames | categories | segments | plain (s) | arrays (s) | ratio |")
    click.echo("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, (n_videos, n_categories, *_) in SIZES.items():
        probabilities, truth = draw(name)
        array_map(probabilities, truth)  # warm up
        seconds, maps = min(timed(array_map, probabilities, truth) for _ in range(REPEATS))
        plain_seconds, plain_maps = timed(plain_map, probabilities, truth)
        if np.abs(np.subtract(maps, plain_maps)).max() > TOLERANCE:
            raise SystemExit(f"{name}: the digits differ: {maps} and {plain_maps}")
        n_frames = sum(map(len, probabilities)) * SNIPPET_LEN
        click.echo(
            f"| {name} | {n_videos} | {n_frames:,} | {n_categories} | {len(truth)} | {plain_seconds:.2f} | "
            f"{seconds:.3f} | {plain_seconds / seconds:.0f} |"
        )
    command = [sys.executable, "-c", "from vad_pipeline.pipeline.cli import main; main()", "evaluate", "--help"]
    start_up, _ = timed(lambda: [subprocess.run(command, check=True, stdout=subprocess.DEVNULL).returncode])
    click.echo(f"\nsame digits within {TOLERANCE:g}; `evaluate --help` starts in {start_up:.2f} s (no torch, no plots)")


if __name__ == "__main__":
    main()
