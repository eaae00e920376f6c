"""What marks are worth on the rendered world with a nuisance: `python tests/bench/adapt.py [--keep DIR] [--seeds 0,1]`.

For each of the ten worlds of `nuisance_world.py`: a model (`--head mil`) is trained on the labels of the first
fortnight, the second is scored with it, its first 20 events as the wall shows them, strongest first, are marked by the
truth, and `adapt` learns from them with the labels mixed in. Both models score the third fortnight. Each command runs
as a user would type it, in this process.

False alarms an hour at the recall that the old threshold had: of the new model at the highest threshold by which as
many of the held-out events are found (an event is found where any of its frames reaches the threshold), and what the
new model's own threshold gives.

Prints a row for each seed and what they come to together. `--keep` holds worlds and runs, so that it goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import machine, table
from nuisance_world import SEEDS, make_world

from vad_pipeline.eval.annotations import read_annotations
from vad_pipeline.eval.evaluation import evaluate
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.model.curve import MERGE_GAP_SECONDS, AnomalyCurve
from vad_pipeline.pipeline.adapt.judging import EXACT, Counted, Reviewed, counted
from vad_pipeline.pipeline.cli import cli
from vad_pipeline.pipeline.demo.archive_plan import RenderedVideo
from vad_pipeline.pipeline.results.event_rows import read_events
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_record import read_record
from vad_pipeline.pipeline.results.verdict_rows import as_json
from vad_pipeline.pipeline.results.verdicts import FALSE_ALARM, REAL, Verdict

N_MARKS = 20
TRAINING = ("--epochs", 200, "--lr", 1e-3, "--batch-size", 12, "--window-len", 24, "--val-share", 0.25)


def run(*words: object) -> tuple[int, str]:
    """A command as it is typed; its exit code, and what it printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli([str(word) for word in words], standalone_mode=False) or 0
    return code, said.getvalue()


@dataclass(frozen=True, slots=True)
class World:
    """One seed's folder, and what happens in its videos."""

    folder: Path
    plans: dict[str, list[RenderedVideo]]
    seed: int

    def train(self, name: str, *more: object) -> Path:
        """A checkpoint of the first fortnight."""
        best = self.folder / name / "best.safetensors"
        if not best.exists():
            shutil.rmtree(best.parent, ignore_errors=True)
            code, said = run(
                "train", self.folder / "labels.csv", "--store", self.folder / "store", "--split", "train",
                "--head", "mil", "--categories", self.folder / "categories.csv", "--out", best.parent,
                "--seeds", self.seed, "--precision", "fp32", *TRAINING, *more,
            )  # fmt: skip
            assert code == 0, said
        return best

    def detect(self, checkpoint: Path, period: str) -> Path:
        """Results of one fortnight."""
        out = checkpoint.parent / f"{checkpoint.stem}-{period}"
        shutil.rmtree(out, ignore_errors=True)
        code, said = run(
            "detect", "--store", self.folder / "store", "--checkpoint", checkpoint, "--out", out,
            "--only", self.folder / "labels.csv", "--split", period, "--precision", "fp32", "--quiet",
        )  # fmt: skip
        assert code == 0, said
        return out

    def reviewed(self, results: Path, period: str) -> list[Reviewed]:
        """Curves of a fortnight with the truth."""
        videos = {video.video_id: video for video in self.plans[period]}
        return [_with_truth(curve, videos[curve.video_id]) for curve in Results.open(results)]

    def average_precision(self, results: Path) -> float:
        """Of frames."""
        curves = list(Results.open(results))
        known = {curve.video_id for curve in curves}
        truth = read_annotations(self.folder / "annotations.csv", format="csv")
        return evaluate(curves, [each for each in truth if each.name in known]).ap


def _with_truth(curve: AnomalyCurve, video: RenderedVideo) -> Reviewed:
    truth = np.zeros(curve.n_frames, np.int8)
    for start, end in video.segments:
        truth[start:end] = 1
    return Reviewed(curve, truth, video.segments)


def marks_of(world: World, results: Path, n: int) -> list[Verdict]:
    """What somebody who knows the truth says of the strongest events."""
    videos = {video.video_id: video for video in world.plans["review"]}
    strongest = sorted(read_events(results), key=lambda held: (-held.event.peak_score, held.event_id))[:n]
    marks = []
    for held in strongest:
        event, video = held.event, videos[held.video]
        real = any(start < event.end_frame and event.start_frame < end for start, end in video.segments)
        said = (REAL, video.category) if real else (FALSE_ALARM, "")
        at = "2026-11-30T08:00:00Z"
        marks.append(Verdict(held.video, event.start_frame, event.end_frame, held.event_id, *said, "Ann", "", at))
    return marks


@dataclass(frozen=True, slots=True)
class Row:
    """What one seed gave."""

    seed: int
    marks: str
    recall: float
    before: float
    after: float
    """False alarms an hour at that recall."""
    own_recall: float
    own_rate: float
    """At the adapted checkpoint's own threshold."""
    precision_before: float
    precision_after: float
    seconds: float
    judged: str


def measure(world: World) -> Row:
    """Train, mark, adapt, and score the held-out fortnight with both."""
    old = world.train("weak")
    reviewed, held_out = world.detect(old, "review"), world.detect(old, "held_out")
    marks = marks_of(world, reviewed, N_MARKS)
    exported = world.folder / "marks.json"
    write_bytes(exported, as_json(marks).encode())
    new = world.folder / "weak" / "adapted.safetensors"
    new.unlink(missing_ok=True)
    began = time.perf_counter()
    code, said = run(
        "adapt", reviewed, "--store", world.folder / "store", "--verdicts", exported, "--out", new,
        "--labels", world.folder / "labels.csv", "--anyway", "--seed", world.seed, "--quiet",
    )  # fmt: skip
    seconds = time.perf_counter() - began
    assert code == 0, said
    adapted = world.detect(new, "held_out")
    thresholds = [float(read_record(path)["threshold"]) for path in (held_out, adapted)]
    before, after = (
        counted(world.reviewed(path, "held_out"), merge_gap_seconds=MERGE_GAP_SECONDS, also=[threshold])
        for path, threshold in zip((held_out, adapted), thresholds, strict=True)
    )
    recall, rate = _at(before, thresholds[0])
    own_recall, own_rate = _at(after, thresholds[1])
    n_real = sum(mark.verdict == REAL for mark in marks)
    answer = "no" if "written anyway" in said or "too few" in said else "yes"
    return Row(
        world.seed, f"{n_real} real, {len(marks) - n_real} false", recall, rate, _rate_for(after, recall), own_recall,
        own_rate, world.average_precision(held_out), world.average_precision(adapted), seconds, answer,
    )  # fmt: skip


def _at(counts: Counted, threshold: float) -> tuple[float, float]:
    """Recall and false alarms an hour at a threshold."""
    ones, at = np.ones(len(counts.hours)), int(np.searchsorted(counts.thresholds, np.float32(threshold)))
    return float(counts.recall(ones)[at]), float(counts.rate(ones)[at])


def _rate_for(counts: Counted, recall: float) -> float:
    """False alarms an hour at the highest threshold that has a recall."""
    ones = np.ones(len(counts.hours))
    return float(counts.rate(ones)[np.flatnonzero(counts.recall(ones) >= recall - EXACT)[-1]])


def told(rows: list[Row]) -> None:
    """Print the table of adapting."""
    head = ("seed", "marks", "recall", "false alarms/h before", "after", "own threshold: recall", "false alarms/h",
            "AP before", "after", "s", "adapt's own answer")  # fmt: skip
    shown = [
        (str(r.seed), r.marks, f"{r.recall:.2f}", f"{r.before:.1f}", f"{r.after:.1f}", f"{r.own_recall:.2f}",
         f"{r.own_rate:.1f}", f"{r.precision_before:.3f}", f"{r.precision_after:.3f}", f"{r.seconds:.0f}", r.judged)
        for r in rows
    ]  # fmt: skip
    before, after, own = (sum(getattr(r, name) for r in rows) for name in ("before", "after", "own_rate"))
    n_lower = sum(r.own_recall < r.recall - EXACT for r in rows)
    table(head, shown)
    print(f"\nsummed: {before:.1f} before, {after:.1f} after ({after / max(before, EXACT):.2f} of it); at the adapted "
          f"checkpoint's own threshold {own:.1f} ({own / max(before, EXACT):.2f}), recall lower in {n_lower} of "
          f"{len(rows)} seeds", flush=True)  # fmt: skip


def worlds(folder: Path, seeds: Iterable[int]) -> list[World]:
    """Each seed's, made where it is not there."""
    return [World(folder / str(seed), make_world(folder / str(seed), seed), seed) for seed in seeds]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="folder for worlds and runs; a temporary one where it is not given")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    options = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        told([measure(world) for world in worlds(options.keep or Path(temporary), map(int, options.seeds.split(",")))])


if __name__ == "__main__":
    main()
