"""MANIFEST.csv of a folder of clips: what each clip was cut from, and how."""

from __future__ import annotations

import csv
import io
import logging
import os
import time
from pathlib import Path

from vad_pipeline.extract.errors import readable
from vad_pipeline.extract.files import SourceFile, write_bytes
from vad_pipeline.extract.lists import guarded, unguarded
from vad_pipeline.model.curve import AnomalyCurve

from ..results.event_rows import HeldEvent
from ..results.file_names import safe_stem
from ..results.run_settings import RunSettings
from .clip_file import Clip

logger = logging.getLogger(__name__)

MANIFEST_NAME = "MANIFEST.csv"
CLIP_SUFFIX = ".mp4"
MAX_DIGITS = 18  # of a frame number
WRITE_EVERY_SECONDS, SHARE_OF_TIME = 1.0, 0.05  # written this often at most, and taking at most this share of the time

EVENT_COLUMNS = (
    "event_id video camera start_frame end_frame start_seconds end_seconds start_time end_time "
    "category peak_score calibrated"
).split()
SOURCE_COLUMNS = "source source_size source_mtime_ns source_sha256".split()
ASKED_COLUMNS = "pre_seconds post_seconds".split()
CLIP_COLUMNS = "clip_start_frame clip_end_frame clip_start_seconds clip_end_seconds made sound".split()
COLUMNS = ["clip", *EVENT_COLUMNS, *SOURCE_COLUMNS, *ASKED_COLUMNS, *CLIP_COLUMNS]


def clip_name(held: HeldEvent) -> str:
    """The file name of an event's clip."""
    return f"{safe_stem(held.video)}@{held.event.start_frame}-{held.event.end_frame}{CLIP_SUFFIX}"


def event_part(held: HeldEvent, settings: RunSettings) -> dict[str, str]:
    """The part of a row that describes the event: column -> text."""
    event = held.event
    values = {
        "event_id": held.event_id,
        "video": held.video,
        "camera": settings.rule.camera_of(held.video) or "",
        "start_frame": event.start_frame,
        "end_frame": event.end_frame,
        "start_seconds": f"{event.start_seconds:z.6f}",
        "end_seconds": f"{event.end_seconds:z.6f}",
        "start_time": held.start_time.isoformat(timespec="milliseconds") if held.start_time else "",
        "end_time": held.end_time.isoformat(timespec="milliseconds") if held.end_time else "",
        "category": event.category,
        "peak_score": f"{event.peak_score:z.6f}",
        "calibrated": str(settings.calibrated).lower(),
    }
    return {name: str(value) for name, value in values.items()}


def source_part(file: SourceFile) -> dict[str, str]:
    """The part of a row that says which file a clip is cut from."""
    return {
        "source": readable(file.path),
        "source_size": str(file.size),
        "source_mtime_ns": str(file.mtime_ns),
    }


def rolls_part(pre_seconds: float, post_seconds: float) -> dict[str, str]:
    """The part of a row that says which rolls were asked for."""
    return {"pre_seconds": f"{pre_seconds:g}", "post_seconds": f"{post_seconds:g}"}


def clip_part(clip: Clip, curve: AnomalyCurve, *, sha256: str) -> dict[str, str]:
    """The part of a row that describes the written clip and the content of its source."""
    return {
        "clip_start_frame": str(clip.first),
        "clip_end_frame": str(clip.end),
        "clip_start_seconds": f"{curve.frame_seconds[clip.first]:z.6f}",
        "clip_end_seconds": f"{curve.end_of(clip.end - 1):z.6f}",
        "made": clip.how,
        "sound": clip.sound,
        "source_sha256": sha256,
    }


class Manifest:
    """The manifest of a folder of clips. Rows are kept in memory; the file may be a second or so behind them.

    Args:
        folder: the folder of the clips.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self.rows = _read(folder)
        """File name of the clip -> its row, only for clips that exist."""
        self._written, self._took = time.monotonic(), 0.0

    def put(self, row: dict[str, str]) -> None:
        """Add or replace the row of a clip that has been written.

        Raises:
            StoreError: the manifest cannot be written.
        """
        self.rows[row["clip"]] = row
        if time.monotonic() - self._written > max(WRITE_EVERY_SECONDS, self._took / SHARE_OF_TIME):
            self.write()

    def write(self) -> None:
        """Write the manifest, sorted by video and first frame.

        Raises:
            StoreError: the manifest cannot be written.
        """
        began = time.monotonic()
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in sorted(self.rows.values(), key=_in_order):
            writer.writerow({name: guarded(cell) for name, cell in row.items()})
        write_bytes(self._folder / MANIFEST_NAME, text.getvalue().encode())
        self._written = time.monotonic()
        self._took = self._written - began


def _in_order(row: dict[str, str]) -> tuple[str, int, str]:
    return row["video"], int(row["start_frame"]), row["clip"]


def _read(folder: Path) -> dict[str, dict[str, str]]:
    """Read the rows of a manifest by clip; empty where there is none, or where it cannot be read."""
    path = folder / MANIFEST_NAME
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        logger.warning("%s: cannot be read (%s); it is written anew, and all clips with it", path, error)
        return {}
    rows = [{name: unguarded(cell) for name, cell in row.items()} for row in rows if _is_whole(row)]
    return {row["clip"]: row for row in rows if "/" not in row["clip"] and os.path.isfile(folder / row["clip"])}


def _is_whole(row: dict[str, str]) -> bool:
    if list(row) != COLUMNS or None in row.values():
        return False
    return row["start_frame"].isdecimal() and len(row["start_frame"]) <= MAX_DIGITS
