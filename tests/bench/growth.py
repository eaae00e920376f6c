"""How `extract` grows with the length of footage and with workers: seconds and peak memory for 1, 10 and 60 minutes.

    python tests/bench/growth.py                 ViT-B/16 on 5 frames/s (half an hour on two cores)
    python tests/bench/growth.py --tower toy     a tiny tower on 25 frames/s: 90,000 frames, decoding dominates

320x240, recipe quick; two workers get two videos of half the length. Prints a Markdown table. Each run is a process of
its own; memory is the kernel's peak resident size, of the largest process where there are workers. Memory that grows by
more than a tenth from 1 to 60 minutes makes the exit code 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from measure import machine, table
from toy_tower import write_toy_tower

MINUTES = (1, 10, 60)
LIMIT_BYTES, TOLERANCE = 2.5e9, 0.10


def render(path: Path, seconds: int, fps: int) -> None:
    """A bright square over noise that repeats: cheap to make, real to decode."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 60, (240, 320, 3), np.uint8) for _ in range(16)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(seconds * fps):
            pixels = noise[index % 16].copy()
            left = 3 * index % 280
            pixels[100:140, left : left + 40] = 230
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def extracted(raw: Path, store: Path, workers: int, model: list[str]) -> tuple[float, float]:
    """Seconds and peak bytes of one `extract` process, or of the largest of its workers."""
    code = (
        "import resource, sys; from vad_pipeline.pipeline.cli import _run; code = _run(False);"
        "sizes = [resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)];"
        "print(max(sizes), file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "extract", str(raw), "--store", str(store), "--like", "quick"]
    command += ["--pretrained", "random:0", "--device", "cpu", "--quiet", *model]
    command += ["--workers", str(workers)] if workers > 1 else []
    started = time.perf_counter()
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - started, int(done.stderr.split()[-1]) * 1024  # kilobytes on Linux


def main() -> int:
    """Measure and print; 1 where the limit or the tolerance is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tower", choices=("vit", "toy"), default="vit")
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2))
    options = parser.parse_args()
    toy = options.tower == "toy"
    fps = 25 if toy else 5
    rows, peaks = [], {}
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = ["--model", write_toy_tower(folder / "toy")] if toy else []
        for workers in options.workers:
            for minutes in MINUTES:
                raw = folder / f"raw-{workers}-{minutes}"
                raw.mkdir()
                for index in range(workers):
                    render(raw / f"{index}.mp4", minutes * 60 // workers, fps)
                seconds, peak = extracted(raw, folder / f"store-{workers}-{minutes}", workers, model)
                peaks[workers, minutes] = peak
                per_hour = f"{seconds * 60 / minutes:.0f}"
                tower = "toy" if toy else "ViT-B/16"
                row = (f"{minutes} min", f"{minutes * 60 * fps}", tower, str(workers))
                rows.append((*row, f"{seconds:.0f}", per_hour, f"{peak / 1e9:.2f} GB"))
                print(*rows[-1], file=sys.stderr)
    table(("footage", "frames", "tower", "workers", "seconds", "seconds an hour", "memory of a process"), rows)
    growth = max(peaks[workers, MINUTES[-1]] / peaks[workers, MINUTES[0]] - 1 for workers in options.workers)
    print(f"\nmemory grows by {growth:+.1%}")
    return int(max(peaks.values()) >= LIMIT_BYTES or growth > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
