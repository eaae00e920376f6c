"""The rows of the page's overview: one for each video, and one for each failed video that has no curve."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from vad_pipeline.extract.errors import readable
from vad_pipeline.extract.names import strip_suffix

from ..outcomes.history import read_story
from .video_data import VideoData

SPARKS = 60  # how many points the small curve in an overview row has
SPARK_LEVELS = 99


def summary(data: VideoData) -> dict:
    """The overview row of one video, as JSON values."""
    curve = data.curve
    strongest = max(data.events, key=lambda event: event.peak_score, default=None)
    reading = data.reading
    return {
        "key": data.key,
        "id": curve.video_id,
        "peak": round(float(curve.scores.max()), 6),
        "spark": spark(curve.scores),
        "category": strongest.category if strongest else None,
        "events": len(data.events),
        "seconds": round(curve.footage_seconds if curve.gaps else float(curve.frame_seconds[-1] + 1 / curve.fps), 3),
        "status": "ok",
        "camera": reading.camera if reading else None,
        "day": reading.start.date().isoformat() if reading else None,
    }


def spark(scores: np.ndarray) -> str:
    """The small curve of an overview row: the highest scores of at most SPARKS parts, two digits each, 00 to 99."""
    parts = np.linspace(0, len(scores), min(SPARKS, len(scores)) + 1).astype(int)[:-1]
    highest = np.maximum.reduceat(scores, parts)
    return "".join(f"{round(float(value) * SPARK_LEVELS):02d}" for value in highest)


def failures(folders: Sequence[Path], scored: Container[str]) -> list[dict]:
    """Overview rows of the videos whose last outcome in one of the folders is a failure and that have no curve.

    Args:
        folders: the results folder and the feature store; a folder without outcomes is skipped.
        scored: the ids of the videos that have a curve.
    """
    rows = {}
    for folder in folders:
        if not any((folder / "outcomes").glob("*.jsonl")):
            continue
        for failed in read_story(folder).failing:
            if failed.video not in scored:
                rows[failed.video] = {
                    "key": None,
                    "id": failed.video or strip_suffix(readable(failed.path)),
                    "peak": None,
                    "spark": "",
                    "category": None,
                    "events": None,
                    "seconds": None,
                    "status": failed.code,
                    "path": readable(failed.path),
                    "reason": readable(failed.error or "failed"),
                }
    return list(rows.values())
