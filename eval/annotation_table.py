"""Annotations as CSV, in frames or in seconds: each row is one range, or one normal video without a range."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, quoted, shown
from vad_pipeline.extract.lists import Record, Row, as_table, read_rows
from vad_pipeline.extract.names import reading_form, strip_suffix
from vad_pipeline.model.categories import normal_form

from .annotation import (
    NORMAL_NAME,
    NORMAL_NAMES,
    XD_NAMES,
    FrameNumbers,
    TrueRange,
    VideoAnnotation,
    annotation_of,
    check_order,
    is_no_range,
)

COLUMN_NAMES = {"path": "video", "name": "video", "label": "category"}
CSV_HEADER = "video,start_frame,end_frame,category or video,start_seconds,end_seconds,category"


def read_csv(path: Path, numbers: FrameNumbers) -> list[VideoAnnotation]:
    """Read the annotations of a CSV file, one for each video, in the order in which the file first names them.

    Args:
        path: the CSV file.
        numbers: how the file counts frames.

    Raises:
        ConfigError: a row cannot be understood; the message names its line and what was expected.
    """
    unit, records = _csv_records(path, numbers)
    found: dict[str, tuple[str, list[TrueRange], str]] = {}
    for record in records:
        cells = record.cells
        start, end = cells[f"start_{unit}"], cells[f"end_{unit}"]
        if not cells["video"] or bool(start) != bool(end):
            raise ConfigError(
                f"{record.where}: expected a video with start and end, or with neither, got "
                f"{shown(','.join(cells.values()))}"
            )
        if is_no_range(start, end):
            start = end = ""
        new = _csv_ranges(record, start, end, numbers)
        written = record.written["video"]
        key = reading_form(strip_suffix(written))
        name, ranges, earlier = found.setdefault(key, (written, [], record.where))
        if earlier != record.where and not (new and ranges):
            earlier_line = earlier.rpartition(", ")[2]
            raise ConfigError(
                f"{record.where}: {shown(name)} is there already in {earlier_line}, as another kind of video"
            )
        ranges += new  # real files give some ranges twice: those are merged later, with the overlapping ones
    return [
        VideoAnnotation(
            name=name,
            categories=tuple(dict.fromkeys(each.category for each in ranges)),
            ranges=tuple(ranges),
            in_seconds=unit == "seconds",
            ends_inclusive=numbers.ends == "inclusive",
        )
        for name, ranges, _ in found.values()
    ]


def _csv_records(path: Path, numbers: FrameNumbers) -> tuple[str, list[Record]]:
    """Read the rows of the file, and tell from its header whether ranges are in `frame` or `seconds`."""
    try:
        rows = read_rows(path)
        columns, records = as_table(path, _renamed(rows), once=())
    except ConfigError as error:
        raise ConfigError(f"{error}; expected {CSV_HEADER}") from error
    units = [unit for unit in ("frame", "seconds") if {f"start_{unit}", f"end_{unit}"} <= set(columns)]
    named = [column for column in columns if column]
    if not {"video", "category"} <= set(columns) or len(units) != 1 or len(set(named)) < len(named):
        raise ConfigError(f"{path}: expected the header {CSV_HEADER}, got {shown(','.join(rows[0].cells))}")
    if units == ["seconds"] and numbers.first_frame:
        raise ConfigError(f"{path}: holds seconds, --first-frame is about frame numbers: leave it out")
    for record in records:
        if not set(named) <= set(record.cells):
            raise ConfigError(
                f"{record.where}: expected {len(columns)} cells, got {len(record.cells)} (decimal commas need "
                "semicolons or quotes)"
            )
    return units[0], records


def _renamed(rows: Sequence[Row]) -> list[Row]:
    """The same rows, with the header's column names replaced by those used here: `path` becomes `video`."""
    head = tuple(COLUMN_NAMES.get(cell.lower(), cell.lower()) for cell in rows[0].cells)
    return [replace(rows[0], cells=head), *rows[1:]]


def _csv_ranges(record: Record, start: str, end: str, numbers: FrameNumbers) -> list[TrueRange]:
    """The ranges of one row: one for each category it names, none where it is a normal video.

    Raises:
        ConfigError: an anomalous video without a range, or a range without an anomaly category.
    """
    names = [part.strip() for part in record.cells["category"].split("|")]
    names = [XD_NAMES.get(part, part) for part in names if part] or ([] if start else [NORMAL_NAME])
    if not start:
        annotation_of(record.cells["video"], names, [], record.where)
        return []
    in_seconds = "start_seconds" in record.cells
    low, high = (_seconds_range if in_seconds else numbers.frames)(start, end, record.where)
    if not names or any(normal_form(each) in NORMAL_NAMES for each in names):
        got = ",".join(record.cells.values())
        raise ConfigError(f"{record.where}: expected a range with an anomaly category, got {shown(got)}")
    return [TrueRange(low, high, each) for each in names]


def _seconds_range(start: str, end: str, where: str) -> tuple[float, float]:
    low, high = _seconds(start, where), _seconds(end, where)
    check_order(low, high, f"{start} to {end}", where)
    return low, high


def _seconds(text: str, where: str) -> float:
    seconds = seconds_of(text)
    if seconds is None:
        raise ConfigError(f"{where}: {quoted(text)} is no time such as 75.5 or 0:01:15.5")
    return seconds


def seconds_of(text: str) -> float | None:
    """Turn `75.5`, `75,5`, `1:15.5` or `0:01:15,5` into seconds; None where the text is no such time."""
    match = re.fullmatch(r"(?:(?:(\d{1,12}):)?(\d{1,12}):)?(\d{1,12}(?:[.,]\d*)?)", text)
    hours, minutes, seconds = match.groups() if match else (None, None, "")
    if not match or (minutes and float(seconds.replace(",", ".")) >= 60) or (hours and int(minutes) >= 60):
        return None
    return 3600.0 * int(hours or 0) + 60.0 * int(minutes or 0) + float(seconds.replace(",", "."))
