"""Peak memory of `extract` for 5 and for 60 minutes of 320x240 footage: under 2.5 GB, and the same within 10%.

    python tests/bench/memory.py                 ViT-B/16 on 5 frames/s (minutes of work on a CPU)
    python tests/bench/memory.py --tower toy     a tiny tower on 25 frames/s: 90,000 frames, decoding dominates

Prints a Markdown table. Each run is a process of its own; the figure is the kernel's peak resident size of it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from toy_tower import write_toy_tower

MINUTES = (5, 60)
LIMIT_BYTES, TOLERANCE = 2.5e9, 0.10


def render(path: Path, minutes: int, fps: int) -> None:
    """A bright square over noise that repeats: cheap to make, real to decode."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 60, (240, 320, 3), np.uint8) for _ in range(16)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(minutes * 60 * fps):
            pixels = noise[index % 16].copy()
            left = 3 * index % 280
            pixels[100:140, left : left + 40] = 230
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def peak_bytes(video: Path, store: Path, model: list[str]) -> int:
    """Peak resident size of one `extract` process."""
    code = (
        "import resource, sys; from vad_pipeline.pipeline.cli import _run; code = _run(False);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "extract", str(video), "--store", str(store), "--like", "quick"]
    command += ["--pretrained", "random:0", "--device", "cpu", "--quiet", *model]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    return int(done.stderr.split()[-1]) * 1024  # kilobytes on Linux


def main() -> int:
    """Measure and print; 1 where the limit or the tolerance is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tower", choices=("vit", "toy"), default="vit")
    toy = parser.parse_args().tower == "toy"
    fps = 25 if toy else 5
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        model = []
        if toy:
            model = ["--model", write_toy_tower(Path(folder) / "toy")]
        print("| footage | frames | tower | peak memory |\n|---|---|---|---|")
        for minutes in MINUTES:
            video = Path(folder) / f"{minutes}.mp4"
            render(video, minutes, fps)
            peaks[minutes] = peak_bytes(video, Path(folder) / f"store{minutes}", model)
            tower = "toy" if toy else "ViT-B/16"
            print(f"| {minutes} min | {minutes * 60 * fps} | {tower} | {peaks[minutes] / 1e9:.2f} GB |", flush=True)
    growth = peaks[60] / peaks[5] - 1
    print(f"\ngrowth {growth:+.1%}")
    return int(max(peaks.values()) >= LIMIT_BYTES or abs(growth) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
