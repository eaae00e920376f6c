"""Reads lists that users write, in any dialect of CSV. What cannot be understood is refused, never left out."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from .errors import ConfigError, quoted, shown
from .names import VIDEO_SUFFIXES
from .stand_ins import stand_in

FEATURE_SUFFIXES = (".npy", ".npz")
NAME_COLUMNS, LABEL_COLUMN = ("path", "video", "name"), "label"
DELIMITER_LINE = re.compile(r'"?sep=(?P<delimiter>[^"\w])"?')  # Excel's own first line
FORMULA, NUMBER = re.compile(r"'*[=+\-@\t\r]"), re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-](inf|nan)")
WHOLE_NUMBER = re.compile(r"([0-9]{1,15})(?:\.0*)?")
SLOWEST_FPS, FASTEST_FPS, MAX_RATE_DENOMINATOR = 1e-2, 1e5, 1001
MAX_LINE, MAX_CELL = 1 << 16, 1 << 12  # characters; a path has no more than the latter
UNCLOSED = "unexpected end of data"  # in Python's csv error for a quote that is not closed


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a list."""

    line: int
    """Number of the row's last line in the file, from 1."""
    cells: tuple[str, ...]
    """The cells without blanks around them."""
    written: tuple[str, ...]
    """The cells as written: blanks around a cell may be part of a name."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a table whose columns have names."""

    where: str
    """File and line, for messages."""
    cells: dict[str, str]
    """Column -> cell without blanks around it; a short row lacks the last columns."""
    written: dict[str, str]
    """Column -> cell as written, with the blanks around it."""


@dataclass(frozen=True, slots=True)
class Named:
    """A row of a list of names, with or without labels."""

    where: str
    """File and line, for messages."""
    name: str
    """Name of a video or a file, as written."""
    label: str
    """The row's label; empty where it has none."""


def read_list_text(path: Path) -> str:
    """Read the text of a list, in UTF-8 with or without a byte-order mark.

    Raises:
        ConfigError: the file cannot be read, has another encoding, or lines longer than lists have.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text; save it as UTF-8 (in Excel: CSV UTF-8)") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if what := stand_in(text):
        raise ConfigError(f"{path}: is {what}")
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE:
            raise ConfigError(
                f"{path}, line {number}: has {len(line)} characters; no line of a list has over {MAX_LINE}"
            )
    return text


def guarded(cell: str) -> str:
    """A cell of a CSV file that we write, so that no spreadsheet takes it for a formula: with `'` before it where it
    begins as one. Numbers stay as they are."""
    return f"'{cell}" if FORMULA.match(cell) and not NUMBER.fullmatch(cell) else cell


def unguarded(cell: str) -> str:
    """A cell as it was before `guarded`."""
    return cell[1:] if cell.startswith("'") and guarded(cell[1:]) == cell else cell


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a CSV file that are not blank.

    Cells are separated by commas, semicolons or tabs, whichever the first line has; a first line `sep=;` names it.

    Raises:
        ConfigError: the file cannot be read, is no text, has no rows, or has a quote that is not closed.
    """
    rows = [Row(line, tuple(cell.strip() for cell in cells), tuple(cells)) for line, cells, _ in each_row(path)]
    if not rows:
        raise ConfigError(f"{path}: holds no rows")
    return rows


def each_row(path: Path) -> Iterator[tuple[int, list[str], str]]:
    """The rows that `read_rows` gives one after the other, for tables of millions: the number of each one's last line,
    its cells as written, and what separates them.

    Raises:
        ConfigError: as `read_rows` has it, but for a file without rows.
    """
    text = read_list_text(path)
    first, _, rest = text.partition("\n")
    named = DELIMITER_LINE.fullmatch(first.strip())
    if named:
        text = f"\n{rest}"  # it still counts as a line
    delimiter = named["delimiter"] if named else delimiter_of(first)
    _refuse_unclosed(path, text, delimiter)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                if len(longest := max(row, key=len).strip()) > MAX_CELL:
                    raise ConfigError(
                        f"{path}, line {reader.line_num}: has a cell of {len(longest)} characters, over {MAX_CELL}"
                    )
                yield reader.line_num, row, delimiter
    except csv.Error as error:
        raise ConfigError(f"{path}: cannot be read as a list ({error})") from error


def read_named(path: Path) -> list[Named]:
    """Read a list of names, with labels or without.

    The columns may be named in a first line (`path`, `video` or `name`, and `label`), in any order; where they are not,
    the name comes first.

    Raises:
        ConfigError: the file cannot be read, or a row has more than a name and a label.
    """
    rows = read_rows(path)
    rows = split_at_blanks(rows) or rows
    column = next((column for column in map(str.lower, rows[0].cells) if column in NAME_COLUMNS), None)
    if column:
        _, records = as_table(path, rows, once=(column, LABEL_COLUMN))
        return [Named(each.where, each.written.get(column, ""), each.cells.get(LABEL_COLUMN, "")) for each in records]
    for row in rows:
        if any(row.cells[2:]):
            raise ConfigError(
                f"{path}, line {row.line}: holds more than a name and a label: {shown(','.join(row.cells))}"
            )
    return [Named(f"{path}, line {row.line}", row.written[0], (*row.cells, "")[1]) for row in rows]


def frame_rate(text: str) -> Fraction:
    """A frame rate, frames/s, as people write it: `30`, `29.97` or `30000/1001`.

    Raises:
        ValueError: it is no such rate; the message says what was expected.
    """
    try:
        if not SLOWEST_FPS <= float(text if "/" not in text else Fraction(text)) <= FASTEST_FPS:
            raise ValueError
        rate = Fraction(text).limit_denominator(MAX_RATE_DENOMINATOR)
    except (ValueError, ArithmeticError):
        rate = Fraction(0)
    if rate <= 0:
        raise ValueError(f"{quoted(text)} is not a frame rate such as 30, 29.97 or 30000/1001")
    return rate


def whole_number(text: str, *, least: int, most: int) -> int:
    """A whole number in a cell; `10.0` is 10, as pandas writes it.

    Raises:
        ValueError: it is none, or less than `least` or more than `most`; the message says which were expected.
    """
    match = WHOLE_NUMBER.fullmatch(text)
    if not match or not least <= int(match[1]) <= most:
        raise ValueError(f"{quoted(text)} is no whole number from {least} to {most}")
    return int(match[1])


def delimiter_of(first_line: str) -> str:
    """The character that separates cells: of comma, semicolon and tab the first that stands in the first line."""
    return next((each for each in (",", ";", "\t") if each in first_line), ",")


def split_at_blanks(rows: Sequence[Row], *, any_names: bool = False) -> list[Row] | None:
    """Split rows such as `a.mp4 Abuse` at the blank into a name and a label; None if any row is not like that.

    Args:
        rows: as `read_rows` gives them.
        any_names: whether names without the suffix of a video or features file are taken too.
    """
    halves = [row.cells[0].split() for row in rows if len(row.cells) == 1]
    if len(halves) < len(rows) or any(len(half) != 2 for half in halves):
        return None
    if not (any_names or all(_is_file_name(name) for name, _ in halves)):
        return None
    return [Row(row.line, tuple(half), tuple(half)) for row, half in zip(rows, halves, strict=True)]


def as_table(path: Path, rows: Sequence[Row], *, once: Collection[str]) -> tuple[list[str], list[Record]]:
    """Read rows as a table whose first row names the columns.

    Args:
        path: the file, for messages.
        rows: as `read_rows` gives them.
        once: columns that must not be there twice.

    Returns:
        The columns' names in lower case, and a record for each further row.

    Raises:
        ConfigError: a column is there twice, or a cell that is not empty stands in no column.
    """
    head, *body = rows
    columns = [cell.lower() for cell in head.cells]
    twice = [column for column in once if columns.count(column) > 1]
    if twice:
        raise ConfigError(f"{path}, line {head.line}: the column `{twice[0]}` is there twice; keep one")
    records = []
    for row in body:
        where = f"{path}, line {row.line}"
        for place, cell in enumerate(row.cells):
            # a table out of pandas may begin with its row numbers
            if cell and (place >= len(columns) or (not columns[place] and place)):
                raise ConfigError(
                    f"{where}: {quoted(cell)} stands in no column, the first line has {shown(','.join(columns))}; join "
                    "several labels with |, and put what holds commas in quotes"
                )
        width = min(len(columns), len(row.cells))
        records.append(
            Record(
                where,
                dict(zip(columns[:width], row.cells[:width], strict=True)),
                dict(zip(columns[:width], row.written[:width], strict=True)),
            )
        )
    return columns, records


def _refuse_unclosed(path: Path, text: str, delimiter: str) -> None:
    """Refuse a quote that is not closed: it would make one cell of all lines that follow."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    line = 0
    try:
        for _ in reader:
            line = reader.line_num
    except csv.Error as error:
        if UNCLOSED in str(error):
            raise ConfigError(f'{path}, line {line + 1}: begins a cell with a quote (") and does not end it') from error


def _is_file_name(name: str) -> bool:
    return name.lower().endswith((*VIDEO_SUFFIXES, *FEATURE_SUFFIXES))


def read_lines(path: str, *, option: str = "--list") -> list[str]:
    """Read the non-empty lines of a file, or for `-` of standard input; blanks at a line's ends are kept.

    Raises:
        ConfigError: the file cannot be read; the message begins with `option`.
    """
    try:
        text = sys.stdin.read() if path == "-" else read_list_text(Path(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{option} -: is no UTF-8 text ({error})") from error
    except ConfigError as error:
        raise ConfigError(f"{option} {error}") from error
    lines = (line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n"))
    return [line for line in lines if line.strip()]
