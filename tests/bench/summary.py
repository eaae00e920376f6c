"""`summary` of 30 days of 8 cameras, an hour a file: `python tests/bench/summary.py [--keep DIR]`.

Simulates the results folder: curves of a value every 16 seconds, some of which are lacking, and one rendered video that
all of them name as their footage. Prints how long `summary` takes: as text, and with the page of 24 pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.store.shards import Group, build, group_name, new_path
from vad_pipeline.model.categories import UCF_CRIME, names
from vad_pipeline.pipeline.cli import cli
from vad_pipeline.pipeline.outcomes.outcome_log import OutcomeLog
from vad_pipeline.pipeline.outcomes.video_outcome import VideoOutcome
from vad_pipeline.pipeline.results.event_rows import write_events
from vad_pipeline.pipeline.results.event_rule import Chosen
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_record import RunRecord, begin_run

CATEGORIES = names(UCF_CRIME)
DAYS, CAMERAS, FRAMES = 30, 8, 225
RATE = Fraction(1, 16)
CLOCK = {"pattern": "{camera}/%Y-%m-%d_%H", "timezone": "Europe/Berlin"}
FIRST = datetime(2026, 10, 3, tzinfo=UTC)


def footage(path: Path) -> Path:
    """An hour of a picture that changes every 16 seconds."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        y, x = np.mgrid[0:360, 0:640]
        for n in range(FRAMES):
            channels = [128 + 100 * np.sin(x / 40 + n / 9), 128 + 100 * np.sin(y / 30 - n / 7), (x + y + 4 * n) % 256]
            pixels = np.stack(channels, axis=-1).astype(np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    return path


def simulated(folder: Path) -> Path:
    """The results folder."""
    rng, results = np.random.default_rng(0), Results(folder / "results")
    record = RunRecord("model.pth", "0" * 64, "ucf-crime", CATEGORIES, {}, "recipe", 0, 0.9, clock=CLOCK)
    begin_run(results.path, record)
    source = str(footage(folder / "hour.mp4"))
    for day in range(DAYS):
        groups = [
            curve(f"cam{camera}/{FIRST + timedelta(days=day, hours=hour):%Y-%m-%d_%H}", source, rng)
            for camera in range(CAMERAS)
            for hour in range(24)
            if rng.random() > 0.01
        ]
        if day == DAYS - 1:
            with OutcomeLog(results.outcomes) as log:
                log.append(VideoOutcome("cam0/last", source, "ok"))
                stamp = time.time_ns()
            for group in groups:
                group.attributes["written_ns"] = stamp
        write_bytes(new_path(results.curves), build(groups))
    write_events(results, Chosen(merge_gap_seconds=60.0))
    return results.path


def curve(video_id: str, source: str, rng: np.random.Generator) -> Group:
    """One hour of one camera: noise, and now and then an event."""
    scores = rng.random(FRAMES).astype(np.float32) * 0.5
    if rng.random() < 0.1:
        start = int(rng.integers(0, FRAMES - 8))
        scores[start : start + 4] = 0.9 + 0.1 * rng.random()
    category = rng.random((-(-FRAMES // 16), len(CATEGORIES)), np.float32)
    attributes = {
        "video": video_id, "n_frames": FRAMES, "fps": np.array([RATE.numerator, RATE.denominator]), "snippet_len": 16,
        "categories": list(CATEGORIES), "source": source, "made_from": video_id, "written_ns": 1,
        "peak_score": float(scores.max()), "threshold": 0.9,
    }  # fmt: skip
    data = {"score": scores, "category": category, "frame_seconds": np.arange(FRAMES) * 16.0}
    return Group(group_name(video_id, "recipe"), attributes, data)


def timed(*arguments: object) -> tuple[float, float]:
    """Seconds that `summary` takes by the clock, and of the processor; its output is put aside."""
    began, worked = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        cli(["summary", *map(str, arguments)], standalone_mode=False)
    return time.perf_counter() - began, time.process_time() - worked


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="folder to make it in, and to leave it in")
    kept = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as folder:
        place = kept or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        results = simulated(place)
        timed(results, "--day", "2026-10-10")
        print("| summary of 30 days of 8 cameras | s by the clock | s of the processor |\n|---|---|---|")
        written = ("--csv", place / "s.csv", "--html", place / "s.html", "--quiet")
        for what, options in (
            ("text", ()),
            ("of one day", ("--day", "2026-10-10")),
            ("with CSV and a page of 24 pictures", written),
        ):
            clock, processor = timed(results, *options)
            print(f"| {what} | {clock:.1f} | {processor:.1f} |")
        print(f"\nload of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
