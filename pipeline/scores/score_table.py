"""Reads tables of scores: CSV with a row for each frame or snippet."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vad_pipeline.extract.errors import ConfigError, quoted, shown
from vad_pipeline.extract.lists import NAME_COLUMNS, each_row, unguarded, whole_number
from vad_pipeline.model.categories import normal_form

UNITS = ("frame", "snippet")
SCORE = "score"
MOST_ROWS = 1 << 32
EXPECTED = "the columns `video`, `frame` or `snippet`, `score`, and with --categories FILE one for each category"


@dataclass(slots=True)
class TableScores:
    """The rows of one video."""

    per: str
    """One of UNITS."""
    n_columns: int
    numbers: array = field(default_factory=lambda: array("d"))
    """Row after row: the score, and the probabilities of the categories."""
    indices: array = field(default_factory=lambda: array("Q"))
    problem: str = ""
    """Why these scores cannot be used; empty where they can."""

    def values(self) -> np.ndarray:
        """(n, columns) float64 in the order of frames or snippets.

        Raises:
            ConfigError: a row could not be read, is missing, or is there twice.
        """
        if self.problem:
            raise ConfigError(self.problem)
        indices = np.asarray(self.indices, np.int64)
        order = np.argsort(indices, kind="stable")
        wrong = np.flatnonzero(indices[order] != np.arange(len(order)))
        if len(wrong):
            first = int(wrong[0])
            twice = indices[order][first] < first
            what = f"{first - 1} is there twice" if twice else f"{first} is missing"
            raise ConfigError(f"{self.per} {what}; expected each once, from 0")
        return np.asarray(self.numbers).reshape(-1, self.n_columns)[order]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where in a row things stand."""

    video: int | None
    index: int
    per: str
    numbers: tuple[int, ...]
    """Of the score, then of each category."""

    @classmethod
    def of(cls, path: Path, head: Sequence[str], categories: Sequence[str]) -> _Columns:
        """Understand the first row.

        Raises:
            ConfigError: a column is missing, there twice, or not known.
        """
        names = [cell.strip().lower() for cell in head]
        forms = [normal_form(unguarded(cell.strip())) for cell in head]
        video = next((names.index(name) for name in NAME_COLUMNS if name in names), None)
        per = [unit for unit in UNITS if unit in names]
        lacking = [name for name in categories if normal_form(name) not in forms]
        if len(per) != 1 or SCORE not in names or lacking:
            what = f"; it lacks {quoted(lacking[0])}" if lacking else ""
            raise ConfigError(f"{path}: needs {EXPECTED}; has {shown(','.join(head))}{what}")
        own = (names.index(SCORE), *(forms.index(normal_form(name)) for name in categories))
        used = {video, names.index(per[0]), *own}
        unused = [name for place, name in enumerate(head) if place not in used]
        if unused:
            raise ConfigError(
                f"{path}: the column {quoted(unused[0])} is not known here, or there twice; expected {EXPECTED}"
            )
        return cls(video, names.index(per[0]), per[0], own)


def read_table(path: Path, categories: Sequence[str]) -> dict[str, TableScores]:
    """Read a table of scores of one or several videos.

    A row that cannot be understood costs its video.

    Args:
        path: the file.
        categories: names of the categories whose probabilities the table has, the normal one first; or none.

    Returns:
        Name of the video -> its rows. Where the table has no column for it, the file's name without suffix.

    Raises:
        ConfigError: the file cannot be read, or its columns are not those expected.
    """
    found: dict[str, TableScores] = {}
    columns = None
    for line, cells, delimiter in each_row(path):
        if columns is None:
            columns, width = _Columns.of(path, cells, categories), len(cells)
            continue
        name = path.stem if columns.video is None else unguarded(cells[columns.video].strip())
        if name not in found:
            found[name] = TableScores(columns.per, len(columns.numbers))
        rows = found[name]
        try:
            if any(cell.strip() for cell in cells[width:]) or len(cells) < width:
                raise ValueError(f"has {len(cells)} cells, the first line {width}")
            index = whole_number(cells[columns.index].strip(), least=0, most=MOST_ROWS)
            numbers = [_number(cells[place], delimiter) for place in columns.numbers]
        except ValueError as error:
            rows.problem = rows.problem or f"line {line}: {error}"
            continue
        rows.indices.append(index)
        rows.numbers.extend(numbers)
    if not found:
        raise ConfigError(f"{path}: holds no scores; expected {EXPECTED}")
    return found


def _number(cell: str, delimiter: str) -> float:
    try:
        return float(cell if delimiter == "," else cell.replace(",", "."))
    except ValueError:
        raise ValueError(f"{quoted(cell.strip())} is no number") from None
