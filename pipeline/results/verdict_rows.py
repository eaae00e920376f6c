"""Writes the verdicts of a results folder as the review page exports them: CSV, which `train` takes, or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from vad_pipeline.extract.lists import guarded

from .event_rows import EVENTS_NAME, read_events
from .verdict_log import latest_verdicts
from .verdicts import COLUMNS, OPEN, SCHEMA, Verdict


def rows_of(results: Path) -> list[Verdict]:
    """What counts of a folder's verdicts, and a row for each event without a mark in the videos that they are of.

    Raises:
        StoreError: verdicts or events cannot be read.
    """
    said = latest_verdicts(results)
    videos = {each.video for each in said}
    there = (results / EVENTS_NAME).exists()
    left = [
        Verdict(
            held.video, held.event.start_frame, held.event.end_frame, held.event_id, OPEN, category=held.event.category
        )
        for held in (read_events(results) if there else ())
        if held.video in videos and held.mark == OPEN
    ]
    return sorted([*said, *left], key=lambda each: (each.video, each.start_frame, each.end_frame, each.reviewer))


def as_csv(rows: Sequence[Verdict]) -> str:
    """The rows as CSV; no spreadsheet takes a cell for a formula."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: guarded(str(value)) for name, value in asdict(row).items()})
    return text.getvalue()


def as_json(rows: Sequence[Verdict]) -> str:
    """The rows as the JSON that the page exports and imports."""
    return json.dumps({"schema": SCHEMA, "verdicts": [asdict(row) for row in rows]}, indent=1) + "\n"
