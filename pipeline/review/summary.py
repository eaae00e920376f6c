"""The rows of the page's overview: one for each video, and one for each failed video that has no curve."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from vad_pipeline.extract.errors import readable
from vad_pipeline.extract.names import strip_suffix

from ..outcomes.history import read_story
from ..results.clock import day_of
from .video_data import VideoData
from .wall_rows import event_rows

SPARKS = 60  # how many points the small curve in an overview row has
SPARK_LEVELS = 99


def summary(data: VideoData, categories: Sequence[str]) -> dict:
    """The overview row of one video with its events, as JSON values.

    Args:
        data: the video.
        categories: names of the categories, by whose positions events name theirs.
    """
    curve = data.curve
    strongest = max(data.events, key=lambda event: event.peak_score, default=None)
    reading = data.reading
    day = day_of(curve.video_id, reading)
    return {
        "key": data.key,
        "id": curve.video_id,
        "peak": round(float(curve.scores.max()), 6),
        "spark": spark(curve.scores),
        "category": strongest.category if strongest else None,
        "events": len(data.events),
        "seconds": round(curve.footage_seconds if curve.gaps else float(curve.frame_seconds[-1] + 1 / curve.fps), 3),
        "status": "ok",
        "camera": data.settings.rule.camera_of(curve.video_id),
        "day": day.isoformat() if day else None,
        "start": reading.start.timestamp() if reading else None,
        "list": event_rows(data.events, categories),
    }


def spark(scores: np.ndarray) -> str:
    """The small curve of an overview row: the highest scores of at most SPARKS parts, two digits each, 00 to 99."""
    parts = np.linspace(0, len(scores), min(SPARKS, len(scores)) + 1).astype(int)[:-1]
    highest = np.maximum.reduceat(scores, parts)
    return "".join(f"{round(float(value) * SPARK_LEVELS):02d}" for value in highest)


def failures(
    results: Path, store: Path | None, scored: Container[str], footage: Container[str] | None = None
) -> list[dict]:
    """Overview rows of the videos that failed when last tried and have no curve.

    Args:
        results: the results folder, whose failures to score are all listed.
        store: the feature store, whose failures to extract are listed too; None: they are not.
        scored: the ids of the videos that have a curve.
        footage: folders; videos elsewhere that failed to be extracted are left out; None: none are.
    """
    rows = {}
    for folder in (results, *([store] if store else ())):
        if not any((folder / "outcomes").glob("*.jsonl")):
            continue
        for failed in read_story(folder).failing:
            elsewhere = folder == store and footage is not None and os.path.dirname(failed.path) not in footage
            if failed.video not in scored and not elsewhere:
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
