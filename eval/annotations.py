"""Ground-truth files -> `VideoAnnotation`: UCF-Crime's, XD-Violence's (both variants) and CSV.

What a file says is checked here, with its line; what that means for a result's frames is `truth.py`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.lists import read_list_text, read_rows
from vad_pipeline.extract.names import strip_suffix
from vad_pipeline.extract.store.exchange import split_name
from vad_pipeline.model.categories import NO_CODE, NORMAL, XD_VIOLENCE, normal_form

FORMATS = ("ucf-crime", "xd-violence", "csv")
ENDS = ("exclusive", "inclusive")
NORMAL_NAME = XD_VIOLENCE[NORMAL].name
NORMAL_NAMES = frozenset({normal_form(NORMAL_NAME), normal_form(XD_VIOLENCE[NORMAL].code)})
NO_FRAME = -1  # fills the places of a UCF-Crime range that is not there
FRAME_NUMBER = re.compile(r"-?[0-9]{1,12}")
RANGE_CODE = re.compile(r"[A-Za-z]\w*")
XD_NAMES = {category.code: category.name for category in XD_VIOLENCE}
XD_LABEL = re.compile(r"label_([A-Z0-9]+(?:-[A-Z0-9]+)*)$")
XD_LINE = re.compile(r"(?P<name>.*label_[A-Z0-9-]+(?:\.\w+)?)(?:\s+(?P<ranges>.*))?")
COLUMN_NAMES = {"path": "video", "name": "video", "label": "category"}
CSV_HEADER = "video,start_frame,end_frame,category or video,start_seconds,end_seconds,category"


@dataclass(frozen=True, slots=True)
class TrueRange:
    """A stretch that the annotators call anomalous."""

    start: float
    end: float
    """Half-open frames from 0 (int), or seconds."""
    category: str | None
    """None where the file does not say which of the video's categories it is."""

    def __post_init__(self):
        if not 0 <= self.start <= self.end:
            raise ValueError(f"expected 0 <= start <= end, got {self.start} to {self.end}")


@dataclass(frozen=True, slots=True)
class VideoAnnotation:
    """What the annotators say about one video."""

    name: str
    """As written; finds its result by the one rule for names."""
    categories: tuple[str, ...]
    """Anomaly categories, each once; none for a normal video."""
    ranges: tuple[TrueRange, ...]
    """In the file's order; they may overlap."""
    in_seconds: bool = False
    """Whether the ranges are seconds, else frames."""
    ends_inclusive: bool = False
    """Whether a range in seconds takes in the frame shown at its end; for frames that is settled already."""

    def __post_init__(self):
        if bool(self.categories) != bool(self.ranges):
            raise ValueError(f"expected categories and ranges, or neither, got {self.categories} and {self.ranges}")

    @property
    def is_normal(self) -> bool:
        """Whether nothing in it is anomalous."""
        return not self.ranges


@dataclass(frozen=True, slots=True)
class _Numbers:
    """How a file counts its frames."""

    ends: str
    first_frame: int

    def frames(self, start: str, end: str, where: str) -> tuple[int, int]:
        """Half-open frames from 0, or ConfigError."""
        if not (FRAME_NUMBER.fullmatch(start) and FRAME_NUMBER.fullmatch(end)):
            raise ConfigError(f"{where}: {start!r} to {end!r} are no frame numbers")
        low = int(start) - self.first_frame
        high = int(end) - self.first_frame + (self.ends == "inclusive")
        if low < 0:
            raise ConfigError(f"{where}: frame {start} lies before the first frame, {self.first_frame}")
        _in_order(low, high, f"{start} to {end}", where)
        return low, high


def category_key(name: str) -> str:
    """What two spellings of a category have in common: case, space, `_`, `-` aside, XD-Violence's codes resolved."""
    return normal_form(XD_NAMES.get(name, name))


def read_annotations(
    path: str | Path,
    *,
    format: str,
    normals: str | Path | None = None,
    ends: str = "exclusive",
    first_frame: int = 0,
) -> list[VideoAnnotation]:
    """Read a ground-truth file.

    Args:
        path: the file.
        format: `ucf-crime`, `xd-violence` (its variant with a category for each range is told from the plain one line
            by line) or `csv` (frames or seconds, by its header).
        normals: list of normal videos that the file leaves out, as XD-Violence's does: a published `path,label` list,
            of which the normal rows count, or names alone.
        ends: whether the end of a range is the first frame after it (`exclusive`) or its last one (`inclusive`).
        first_frame: number of a video's first frame, 0 or 1.

    Returns:
        Annotations in the file's order, then the normal ones.

    Raises:
        ConfigError: not there, or a line that cannot be understood; says which and what was expected.
    """
    if format not in FORMATS or ends not in ENDS or first_frame not in (0, 1):
        raise ValueError(f"expected format of {FORMATS}, ends of {ENDS}, first frame 0 or 1, got {format, ends}")
    path, numbers = Path(path), _Numbers(ends, first_frame)
    if format == "csv":
        annotations = _read_csv(path, numbers)
    else:
        read_line = _ucf_line if format == "ucf-crime" else _xd_line
        annotations, seen = [], {}
        for line_number, line in _lines(path):
            where = f"{path}, line {line_number}"
            annotation = read_line(line, numbers, where)
            _once(annotation.name, seen, where, f"line {line_number}")
            annotations.append(annotation)
    if not annotations:
        raise ConfigError(f"{path}: holds no annotations")
    return annotations + (_read_normals(Path(normals), annotations) if normals else [])


@dataclass(frozen=True, slots=True)
class TruthFile:
    """A ground-truth file and how it is written: see `read_annotations`."""

    path: Path
    format: str
    normals: Path | None = None
    ends: str = ENDS[0]
    first_frame: int = 0

    @classmethod
    def of(cls, path: Path | None, form: str | None, normals: Path | None, **counted: str | int) -> TruthFile | None:
        """Ground truth as a command's options name it; None where they name none.

        Raises:
            ConfigError: a file without its format, or the other way round.
        """
        if not (path or form or normals):
            return None
        if not (path and form):
            raise ConfigError("--annotations FILE and --format NAME belong together; --normals LIST is for them")
        return cls(path, form, normals, **counted)

    def read(self) -> list[VideoAnnotation]:
        """The annotations.

        Raises:
            ConfigError: they cannot be understood.
        """
        form = {name: getattr(self, name) for name in ("format", "normals", "ends", "first_frame")}
        return read_annotations(self.path, **form)


def _ucf_line(line: str, numbers: _Numbers, where: str) -> VideoAnnotation:
    """`Abuse028_x264.mp4  Abuse  165  240  -1  -1`."""
    match = re.fullmatch(r"(?P<head>.*?\S)(?P<ranges>(?:\s+-?\d+){2,})", line)
    head = re.split(r"\s{2,}|\t", match["head"]) if match else []
    if len(head) == 1:
        head = head[0].rsplit(maxsplit=1)
    values = match["ranges"].split() if match else []
    if len(head) != 2 or len(values) % 2:
        raise ConfigError(f"{where}: expected `NAME  CATEGORY  START  END  -1  -1`, got {line[:80]!r}")
    name, category = head
    ranges = []
    for start, end in zip(values[::2], values[1::2], strict=True):
        if (int(start), int(end)) != (NO_FRAME, NO_FRAME):
            ranges.append(TrueRange(*numbers.frames(start, end, where), category))
    return _annotation(name, (category,), ranges, where)


def _xd_line(line: str, numbers: _Numbers, where: str) -> VideoAnnotation:
    """`NAME s1 e1 s2 e2` or `NAME B4 s1 e1 B4 s2 e2`, the name ending in `label_B4-0-0`."""
    match = XD_LINE.fullmatch(line)
    if not match:
        raise ConfigError(f"{where}: expected a name that ends in label_CODES and ranges, got {line[:80]!r}")
    categories = _xd_categories(XD_LABEL.search(strip_suffix(match["name"]))[1].split("-"), where)
    values = (match["ranges"] or "").split()
    with_codes = bool(values) and bool(RANGE_CODE.fullmatch(values[0]))
    width = 3 if with_codes else 2
    if len(values) % width:
        expected = "CODE START END triples" if with_codes else "START END pairs"
        raise ConfigError(f"{where}: expected {expected}, got {match['ranges'][:80]!r}")
    only = categories[0] if len(categories) == 1 else None
    ranges = []
    for position in range(0, len(values), width):
        *code, start, end = values[position : position + width]
        category = _xd_categories(code, where)[0] if code else only
        ranges.append(TrueRange(*numbers.frames(start, end, where), category))
    if with_codes:
        categories = tuple(dict.fromkeys(true_range.category for true_range in ranges))
    return _annotation(match["name"], categories, ranges, where)


def _xd_categories(codes: list[str], where: str) -> tuple[str, ...]:
    codes = [code for code in codes if code != NO_CODE]
    unknown = [code for code in codes if code not in XD_NAMES]
    if unknown or not codes:
        raise ConfigError(
            f"{where}: {unknown[0] if unknown else 'no'!r} is no XD-Violence code; they are {' '.join(XD_NAMES)}"
        )
    return tuple(dict.fromkeys(XD_NAMES[code] for code in codes))


def _read_csv(path: Path, numbers: _Numbers) -> list[VideoAnnotation]:
    try:
        header, *rows = read_rows(path)
    except ConfigError as error:
        raise ConfigError(f"{error}; expected {CSV_HEADER}") from error
    columns = [COLUMN_NAMES.get(cell.lower(), cell.lower()) for cell in header]
    units = [unit for unit in ("frame", "seconds") if {f"start_{unit}", f"end_{unit}"} <= set(columns)]
    if not {"video", "category"} <= set(columns) or len(units) != 1 or len(set(columns)) < len(columns):
        raise ConfigError(f"{path}: expected the header {CSV_HEADER}, got {','.join(header)[:120]}")
    in_seconds = units[0] == "seconds"
    if in_seconds and numbers.first_frame:
        raise ConfigError(f"{path}: holds seconds, --first-frame is about frame numbers: leave it out")
    found: dict[str, tuple[str, list[TrueRange], int]] = {}
    for row_number, row in enumerate(rows, start=2):
        where = f"{path}, row {row_number}"
        if len(row) != len(columns):
            raise ConfigError(
                f"{where}: expected {len(columns)} cells, got {len(row)} (decimal commas need semicolons or quotes)"
            )
        cells = dict(zip(columns, row, strict=True))
        start, end = cells[f"start_{units[0]}"], cells[f"end_{units[0]}"]
        if not cells["video"] or bool(start) != bool(end):
            raise ConfigError(f"{where}: expected a video with start and end, or with neither, got {row}")
        names = [part.strip() for part in cells["category"].split("|")]
        names = [XD_NAMES.get(part, part) for part in names if part] or ([] if start else [NORMAL_NAME])
        name, ranges, earlier = found.setdefault(strip_suffix(cells["video"]), (cells["video"], [], row_number))
        if earlier != row_number and not (start and ranges):
            raise ConfigError(f"{where}: {name} is there already in row {earlier}, as another kind of video")
        if not start:
            _annotation(name, names, [], where)  # a normal video, or else refused
            continue
        low, high = (_seconds_range if in_seconds else numbers.frames)(start, end, where)
        new = [TrueRange(low, high, each) for each in names]
        if not new or any(normal_form(each) in NORMAL_NAMES for each in names):
            raise ConfigError(f"{where}: expected a range with an anomaly category, got {row}")
        ranges += new  # one given twice, as real files have it, is merged where overlapping ones are
    inclusive = numbers.ends == "inclusive"
    return [
        VideoAnnotation(
            name, tuple(dict.fromkeys(each.category for each in ranges)), tuple(ranges), in_seconds, inclusive
        )
        for name, ranges, _ in found.values()
    ]


def _seconds_range(start: str, end: str, where: str) -> tuple[float, float]:
    low, high = _seconds(start, where), _seconds(end, where)
    _in_order(low, high, f"{start} to {end}", where)
    return low, high


def _seconds(text: str, where: str) -> float:
    seconds = seconds_of(text)
    if seconds is None:
        raise ConfigError(f"{where}: {text!r} is no time such as 75.5 or 0:01:15.5")
    return seconds


def seconds_of(text: str) -> float | None:
    """`75.5`, `75,5`, `1:15.5` or `0:01:15,5` in seconds; None where it is no such time."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d*)?)", text)
    hours, minutes, seconds = match.groups() if match else (None, None, "")
    if not match or (minutes and float(seconds.replace(",", ".")) >= 60) or (hours and int(minutes) >= 60):
        return None
    return 3600.0 * int(hours or 0) + 60.0 * int(minutes or 0) + float(seconds.replace(",", "."))


def _in_order(low: float, high: float, written: str, where: str) -> None:
    if low >= high:
        raise ConfigError(f"{where}: the range {written} is reversed or empty (`--ends inclusive`?)")


def _annotation(name: str, categories: tuple | list, ranges: list[TrueRange], where: str) -> VideoAnnotation:
    """A video is normal and has no range, or is not and has some."""
    is_normal = any(normal_form(category) in NORMAL_NAMES for category in categories)
    if is_normal == bool(ranges):
        what = "a normal video has a range" if is_normal else f"{'|'.join(categories)}, but no range"
        raise ConfigError(f"{where}: {name}: {what}")
    return VideoAnnotation(name, () if is_normal else tuple(categories), tuple(ranges))


def _read_normals(path: Path, annotations: list[VideoAnnotation]) -> list[VideoAnnotation]:
    rows = read_rows(path)
    known = {strip_suffix(annotation.name): annotation for annotation in annotations}
    found, n_normal = {}, 0
    for row_number, row in enumerate(rows, start=1):
        if row_number == 1 and row[0].lower() in ("path", "video", "name"):
            continue
        is_features = row[0].endswith(".npy")
        name = split_name(row[0], keep_folder=False)[0] if is_features else strip_suffix(row[0])
        code = XD_LABEL.search(name)
        label = row[1] if len(row) > 1 and row[1] else code[1] if code else NORMAL_NAME
        if normal_form(label) not in NORMAL_NAMES:
            continue
        n_normal += 1
        if name in known and not known[name].is_normal:
            raise ConfigError(f"{path}, row {row_number}: {name} is normal here and anomalous in the annotations")
        if name not in known:
            found[name] = VideoAnnotation(name, (), ())
    if not n_normal:
        raise ConfigError(f"{path}: names no normal video (label Normal or A)")
    return list(found.values())


def _lines(path: Path) -> list[tuple[int, str]]:
    """Lines that hold something, with their numbers from 1."""
    lines = read_list_text(path).split("\n")
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]


def _once(name: str, seen: dict[str, str], where: str, this: str) -> None:
    earlier = seen.setdefault(strip_suffix(name), this)
    if earlier != this:
        raise ConfigError(f"{where}: {name} is there already in {earlier}")
