"""Tables of curves: a CSV file a video, one row a frame."""

from __future__ import annotations

import contextlib
import csv
import io
from pathlib import Path

from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.lists import guarded
from vad_pipeline.model.curve import AnomalyCurve, snippet_of_frame


def csv_path(curves: Path, video_id: str) -> Path:
    """The path of the CSV file of a video's curve."""
    return curves / f"{video_id}.csv"


def remove_csv(curves: Path, video_id: str) -> None:
    """Remove the CSV file of a video, if there is one: its curve is about to be replaced."""
    with contextlib.suppress(OSError):  # there is none, or the id is no possible file name
        csv_path(curves, video_id).unlink()


def write_csv(curves: Path, curve: AnomalyCurve, *, calibrated: bool = True) -> None:
    """Write a curve as CSV, one row a frame.

    Args:
        curves: the folder that the file goes into.
        curve: the curve of one video.
        calibrated: False names the column `uncalibrated_score`.

    Raises:
        StoreError: the file cannot be written.
    """
    best = curve.category[:, 1:].argmax(axis=1) + 1  # column 0 is the normal category
    snippet = snippet_of_frame(curve.n_frames, n_snippets=len(best), snippet_len=curve.snippet_len)
    names = list(map(guarded, curve.categories))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    score_name = "score" if calibrated else "uncalibrated_score"
    writer.writerow(["frame", "seconds", score_name, "category", "category_probability"])
    for frame, (row, seconds, score) in enumerate(zip(snippet, curve.frame_seconds, curve.scores, strict=True)):
        probability = curve.category[row, best[row]]
        writer.writerow([frame, f"{seconds:z.6f}", f"{score:z.6f}", names[best[row]], f"{probability:.6f}"])
    write_bytes(csv_path(curves, curve.video_id), text.getvalue().encode())
