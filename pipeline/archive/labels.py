"""LABELS files: which categories each video shows, and which split it is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, quoted, shown
from vad_pipeline.extract.lists import FEATURE_SUFFIXES, as_table, read_rows, split_at_blanks
from vad_pipeline.extract.names import plural
from vad_pipeline.extract.store.exchange import split_name
from vad_pipeline.model.categories import CATEGORIES, NORMAL, Category, parse_label

from ..results.verdicts import LINES_SUFFIX, is_export, labels_of, read_verdicts

NAME_COLUMNS, LABEL_COLUMNS = ("video", "path"), ("label", "split")
SHOWN = 5  # how many names an error message lists
REVIEWED, UNDECIDED = "train", "undecided"  # splits made from verdicts: videos that they label, and all others


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row of a LABELS file, as written."""

    name: str
    """The video's name; the `__k.npy` (crop number) of published lists is removed."""
    label: str
    """The label; empty where the file has no column for it."""
    split: str | None
    """The split in lower case; None where the file has no column for it."""
    normal: bool = False
    """Whether reviewers found only false alarms: the video shows the first category, whatever that is called."""
    where: str = ""
    """File and line of the row, for error messages."""


def read_label_rows(path: Path) -> list[LabelRow]:
    """Read the rows of a LABELS file, or make rows of the review page's export of verdicts.

    Raises:
        ConfigError: the file cannot be read, or lacks columns that it needs.
    """
    if is_export(path):
        return _reviewed(path)
    rows = read_rows(path)
    halves = split_at_blanks(rows, any_names=True)
    columns, records = as_table(path, halves or rows, once=NAME_COLUMNS + LABEL_COLUMNS)
    name = next((column for column in NAME_COLUMNS if column in columns), None)
    if name is None:
        if halves:  # each line is a name and a label, so that no header is needed
            videos = _videos(row.cells[0] for row in halves)
            return [
                LabelRow(videos[row.cells[0]], row.cells[1], None, where=f"{path}, line {row.line}") for row in halves
            ]
        raise ConfigError(
            f"{path}: needs a column `video` or `path` in its first line, has {shown(', '.join(columns))}"
        )
    said = [column for column in LABEL_COLUMNS if column in columns]
    for record in records:
        lacking = next((column for column in (name, *said) if column not in record.cells), None)
        if lacking is not None:
            raise ConfigError(f"{record.where}: lacks its `{lacking}`: {shown(','.join(record.written.values()))}")
    videos = _videos(record.written[name] for record in records)
    return [
        LabelRow(
            name=videos[record.written[name]],
            label=record.cells.get("label", ""),
            split=record.cells["split"].lower() if "split" in said else None,
            where=record.where,
        )
        for record in records
    ]


def _videos(names: Iterable[str]) -> dict[str, str]:
    """Find the video's name in each listed name: `.../Abuse/Abuse028_x264__5.npy` is of the video Abuse028_x264.

    Where a list has files of one such name in several folders, these are several videos, and the folder stays.

    Returns:
        Listed name -> video name.
    """
    names = list(dict.fromkeys(names))
    features = [name for name in names if name.strip().endswith(FEATURE_SUFFIXES)]
    short = {name: split_name(name.strip(), keep_folder=False) for name in features}
    long = {name: split_name(name.strip(), keep_folder=True) for name in features}
    counts = Counter(short[name] for name in {long[name]: name for name in features}.values())
    shared = {video for (video, _), count in counts.items() if count > 1}
    return {name: name for name in names} | {
        name: long[name][0] if short[name][0] in shared else short[name][0] for name in features
    }


def _reviewed(path: Path) -> list[LabelRow]:
    """Make one row for each reviewed video; videos that the verdicts do not decide get the split UNDECIDED."""
    if path.suffix == LINES_SUFFIX:
        made = "`vad-pipeline verdicts export RESULTS --out verdicts.csv` makes a file that does"
        raise ConfigError(f"{path}: does not say which events nobody has marked; {made}")
    labels, undecided = labels_of(read_verdicts(path))
    rows = [
        LabelRow(video, "|".join(names), REVIEWED, normal=not names, where=str(path)) for video, names in labels.items()
    ]
    return rows + [LabelRow(video, "", UNDECIDED) for video in undecided]


def of_split(rows: Sequence[LabelRow], split: str, path: Path) -> list[LabelRow]:
    """The rows that are in one split.

    Raises:
        ConfigError: the file has no column `split`, or no row of this split.
    """
    if any(row.split is None for row in rows):
        raise ConfigError(f"{path}: has no column `split`, so --split {split} cannot be asked of it")
    chosen = [row for row in rows if row.split == split.lower()]
    if not chosen:
        splits = ", ".join(sorted({row.split or "(empty)" for row in rows}))
        raise ConfigError(f"{path}: no row is of split {split}; there are {shown(splits)}")
    return chosen


def columns_of(rows: Sequence[LabelRow], categories: Sequence[Category], path: Path) -> dict[str, tuple[int, ...]]:
    """Read from the labels which categories each video shows.

    Returns:
        Name of the video -> positions in `categories`.

    Raises:
        ConfigError: a label names no category, a video has two different labels, or is normal and anomalous at once.
    """
    unknown: dict[str, int] = {}
    found: dict[str, tuple[int, ...]] = {}
    parsed: dict[str, tuple[int, ...] | str] = {}
    for row in rows:
        if row.normal:
            found[row.name] = (NORMAL,)
            continue
        if row.label not in parsed:
            try:
                parsed[row.label] = parse_label(row.label, categories)
            except ValueError as error:
                parsed[row.label] = str(error)
        columns = parsed[row.label]
        if isinstance(columns, str):
            unknown[columns] = unknown.get(columns, 0) + 1
            continue
        if found.setdefault(row.name, columns) != columns:
            raise ConfigError(
                f"{row.where}: {shown(row.name)} has two different labels; keep one, several joined with |"
            )
        if 0 in columns and len(columns) > 1:
            raise ConfigError(
                f"{row.where}: {shown(row.name)} is labelled {shown(row.label)}: normal and something else at once"
            )
    if unknown:
        first = [f"{quoted(label)} ({plural(count, 'row')})" for label, count in list(unknown.items())[:SHOWN]]
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        lacking = plural(len(unknown), "label names", "labels name")
        raise ConfigError(
            f"{path}: {lacking} no category: {', '.join(first)}{more}; categories are "
            f"{', '.join(category.name for category in categories)} ({_fitting_preset(rows)}--categories FILE for your "
            "own)"
        )
    return found


def _fitting_preset(rows: Sequence[LabelRow]) -> str:
    """The words by which a message names the preset that knows all labels; empty where none does."""
    for preset, categories in CATEGORIES.items():
        try:
            for label in {row.label for row in rows if not row.normal}:
                parse_label(label, categories)
        except ValueError:
            continue
        return f"they are those of --preset {preset}; "
    return ""
