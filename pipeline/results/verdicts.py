"""Reviewers' verdicts on events: reads the review page's exports, joins and compares them, makes labels of them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, quoted, readable, shown
from vad_pipeline.extract.lists import delimiter_of, unguarded

REAL, FALSE_ALARM, UNSURE, OPEN = "real", "false_alarm", "unsure", ""
REST_NORMAL = "normal"
"""Said of a whole video: every frame outside the ranges that the same reviewer marked real is normal."""
ANSWERS = (REAL, FALSE_ALARM, UNSURE, REST_NORMAL, OPEN)
SCHEMA = 1  # of the JSON that the page exports
COLUMNS = ("video", "start_frame", "end_frame", "event_id", "verdict", "category", "reviewer", "note", "time")
NEEDED = ("video", "start_frame", "end_frame", "event_id", "verdict")
HEAD_CHARACTERS = 4096
LINES_SUFFIX = ".jsonl"  # of a file with one verdict a line, and no list around them
WHOLE = re.compile(r"\.0*$")  # pandas makes 10.0 of 10 in a column with empty cells


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of an export from the review page: what one reviewer said of one event, or of the rest of a video."""

    video: str
    start_frame: int
    """The range is as the reviewer left it: where its ends were dragged, it is another than the event's."""
    end_frame: int
    """The first frame after the range."""
    event_id: str
    """Of the event as it was detected; of a missed one the range as it was first drawn; `VIDEO@normal` for the rest."""
    verdict: str
    """`real`, `false_alarm`, `unsure` or `normal`. Empty: taken back; without a time as well: an event that nobody has
    marked, in a video where others are."""
    category: str = ""
    """The category that the reviewer chose; where nobody changed it, the one that detection gave."""
    reviewer: str = ""
    note: str = ""
    time: str = ""
    """When the verdict was given: ISO 8601 in UTC."""

    @property
    def is_said(self) -> bool:
        """Whether somebody said this, be it that a verdict is taken back; else the row lists an open event."""
        return self.verdict != OPEN or self.time != ""

    def overlaps(self, other: Verdict) -> bool:
        """Whether both verdicts share frames of one video; with another threshold an event has other ends."""
        shares = self.start_frame < other.end_frame and other.start_frame < self.end_frame
        return self.video == other.video and shares


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A range of frames on which reviewers gave different verdicts; `end_frame` is exclusive."""

    video: str
    start_frame: int
    end_frame: int
    said: tuple[Verdict, ...]
    """The verdicts in the range, sorted by reviewer."""

    def __str__(self) -> str:
        said = "; ".join(f"{readable(each.reviewer) or 'unnamed'}: {each.verdict}" for each in self.said)
        return f"{readable(self.video)}\tframes {self.start_frame} to {self.end_frame}\t{said}"


def is_export(path: Path) -> bool:
    """Whether a file looks like an export of the review page, and not like any other list."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.readline(HEAD_CHARACTERS)
    except (OSError, UnicodeDecodeError):  # whoever reads the file next reports this
        return False
    return head.startswith("{") or _has_columns(head.strip().split(delimiter_of(head)))


def _has_columns(columns: Iterable[str]) -> bool:
    return set(NEEDED) <= set(columns)


def read_verdicts(path: Path) -> list[Verdict]:
    """Read the verdicts of one export of the review page, JSON or CSV, or of a `verdicts.jsonl`.

    Raises:
        ConfigError: the file cannot be read, or is no such export.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as verdicts ({error})") from error
    if path.suffix == LINES_SUFFIX:
        rows = _rows_of_lines(text, path)
    else:
        rows = _json_rows(text, path) if text.lstrip().startswith("{") else _csv_rows(text, path)
    found = [verdict_of(row, f"{path}, verdict {number}") for number, row in enumerate(rows, start=1)]
    for number, verdict in enumerate(found, start=1):
        _refuse_no_time(verdict.time, f"{path}, verdict {number}")
    return found


def _refuse_no_time(text: str, where: str) -> None:
    """Check that a time is one: a spreadsheet may have written its own form, which would be later or earlier than all.

    Raises:
        ConfigError: it is none.
    """
    try:
        _ = text and datetime.fromisoformat(text)
    except ValueError as error:
        expected = "expected ISO 8601, such as 2026-11-28T10:00:00Z"
        raise ConfigError(f"{where}: its time is {quoted(text)}; {expected}; export it again") from error


def brought_together(exports: Iterable[Iterable[Verdict]]) -> list[Verdict]:
    """Join several exports: one verdict for each event and reviewer, the latest, sorted by video and frame.

    What was taken back is dropped, and so are rows of open events.
    """
    said = _latest(verdict for export in exports for verdict in export)
    return sorted(
        (each for each in said if each.verdict != OPEN),
        key=lambda each: (each.video, each.start_frame, each.end_frame, each.reviewer),
    )


def _latest(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """What was said last of each event by each reviewer, verdicts taken back included."""
    latest: dict[tuple[str, str], Verdict] = {}
    for verdict in verdicts:
        key = verdict.event_id, verdict.reviewer
        if verdict.is_said and (key not in latest or latest[key].time <= verdict.time):
            latest[key] = verdict
    return list(latest.values())


def disagreements(verdicts: Sequence[Verdict]) -> list[Disagreement]:
    """The ranges of frames on which different reviewers gave different verdicts, sorted by video and start.

    Args:
        verdicts: as `brought_together` returns them, sorted by video and start.
    """
    found = _outside_normal(verdicts)
    for stretch in _stretches([each for each in verdicts if each.verdict != REST_NORMAL]):
        # two different verdicts by one reviewer, given at two thresholds, are no disagreement
        clash = any(
            one.reviewer != other.reviewer and one.verdict != other.verdict and one.overlaps(other)
            for one in stretch
            for other in stretch
        )
        if clash:
            start, end = min(each.start_frame for each in stretch), max(each.end_frame for each in stretch)
            said = tuple(sorted(stretch, key=lambda each: (each.reviewer, each.start_frame)))
            found.append(Disagreement(stretch[0].video, start, end, said))
    return sorted(found, key=lambda each: (each.video, each.start_frame))


def _outside_normal(verdicts: Sequence[Verdict]) -> list[Disagreement]:
    """Ranges that one reviewer marked real in a video whose rest another one, who did not, calls normal."""
    found = []
    for normal in (each for each in verdicts if each.verdict == REST_NORMAL):
        real = [each for each in verdicts if each.verdict == REAL and each.video == normal.video]
        own = [each for each in real if each.reviewer == normal.reviewer]
        for each in real:
            if not any(each.overlaps(mine) for mine in own):
                found.append(Disagreement(each.video, each.start_frame, each.end_frame, (normal, each)))
    return found


def labels_of(verdicts: Sequence[Verdict]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Make video-level labels of verdicts.

    A video with a real event gets the categories of its real events. A video whose events are all false alarms is
    normal, and so is one of which somebody said that the rest is normal, whatever is left open in it. Any other video
    has an event that is unsure, without a verdict, or judged both ways: it is left out.

    Returns:
        Video id -> categories, an empty tuple for a normal video; and the ids of the videos left out.
    """
    opened = [each for each in verdicts if not each.is_said]
    by_video: dict[str, list[Verdict]] = {each.video: [] for each in verdicts}
    for verdict in (*_latest(verdicts), *opened):
        by_video[verdict.video].append(verdict)
    labels, left_out = {}, []
    for video, each in by_video.items():
        label = _label_of(each)
        if label is None:
            left_out.append(video)
        else:
            labels[video] = label
    return labels, left_out


def _label_of(verdicts: Sequence[Verdict]) -> tuple[str, ...] | None:
    """The categories that the verdicts on one video make of it, none for a normal one; None where it is not decided."""
    said: dict[str, set[str]] = {}
    for verdict in verdicts:
        said.setdefault(verdict.event_id, set()).add(verdict.verdict)
    for words in said.values():
        if len(words) > 1:  # somebody left it open, or took it back, and somebody else did not
            words.discard(OPEN)
    agreed = {event: next(iter(words)) for event, words in said.items() if len(words) == 1}
    real = [each.category for each in verdicts if agreed.get(each.event_id) == REAL and each.verdict and each.category]
    if real:
        return tuple(dict.fromkeys(real))
    if any(words & {REAL, UNSURE} for words in said.values()):
        return None
    rest_normal = REST_NORMAL in agreed.values()
    return () if rest_normal or all(agreed.get(event) == FALSE_ALARM for event in said) else None


def _stretches(verdicts: Sequence[Verdict]) -> list[list[Verdict]]:
    """Group verdicts of one video whose frame ranges overlap, directly or through others."""
    stretches: list[list[Verdict]] = []
    end = -1
    for verdict in verdicts:
        if stretches and stretches[-1][0].video == verdict.video and verdict.start_frame < end:
            stretches[-1].append(verdict)
            end = max(end, verdict.end_frame)
        else:
            stretches.append([verdict])
            end = verdict.end_frame
    return stretches


def _json_rows(text: str, path: Path) -> list[dict]:
    try:
        found = json.loads(text)
        rows = found["verdicts"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path}: no export of verdicts from the review page ({shown(error)})") from error
    if found.get("schema", SCHEMA) != SCHEMA:
        raise ConfigError(f"{path}: is of schema {shown(found['schema'])}; this version reads schema {SCHEMA}")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{path}: its `verdicts` are no list of rows; export them again")
    return rows


def _rows_of_lines(text: str, path: Path) -> list[dict]:
    try:
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: a line of it is no verdict ({shown(error)})") from error
    if not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{path}: a line of it is no verdict; export it again")
    return rows


def _csv_rows(text: str, path: Path) -> list[dict]:
    delimiter = delimiter_of(text.partition("\n")[0])
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = []
    try:
        if not _has_columns(reader.fieldnames or ()):
            raise ConfigError(f"{path}: no export of verdicts: needs the columns {', '.join(COLUMNS)}")
        for row in reader:
            if any(row.get(None, [])):
                raise ConfigError(
                    f"{path}, line {reader.line_num}: {quoted(row[None][0])} stands in no column; export it again"
                )
            rows.append({name: unguarded(cell or "") for name, cell in row.items() if name is not None})
    except csv.Error as error:
        raise ConfigError(f"{path}: cannot be read as verdicts ({error})") from error
    return rows


def verdict_of(row: dict, where: str) -> Verdict:
    """Make a verdict of one row.

    Args:
        row: column -> text or number.
        where: file and row, for the error's words.

    Raises:
        ConfigError: a value is missing or makes no sense.
    """
    try:
        values = {name: str(row.get(name) or "") for name in COLUMNS}
        start, end = (WHOLE.sub("", values.pop(name)) for name in ("start_frame", "end_frame"))
        start, end = int(start or 0), int(end)
    except ValueError as error:
        raise ConfigError(f"{where}: its frames are no numbers; export it again") from error
    if values["verdict"] not in ANSWERS or not values["video"] or not values["event_id"] or not 0 <= start < end:
        raise ConfigError(
            f"{where}: expected a video, an event with frames, and a verdict of real, false_alarm, unsure or normal, "
            f"got {quoted(values['verdict'])} on {quoted(values['event_id'])}"
        )
    return Verdict(start_frame=start, end_frame=end, **values)
