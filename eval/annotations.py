"""Ground-truth files -> `VideoAnnotation`: UCF-Crime's, XD-Violence's (both variants) and CSV.

Each line is checked here, and a message about it names the line. `truth.py` then finds the frames that are meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, quoted, shown
from vad_pipeline.extract.lists import (
    FEATURE_SUFFIXES,
    read_list_text,
    read_named,
)
from vad_pipeline.extract.names import reading_form, strip_suffix
from vad_pipeline.extract.store.exchange import split_name
from vad_pipeline.model.categories import NO_CODE, normal_form

from .annotation import (
    NORMAL_NAME,
    NORMAL_NAMES,
    XD_NAMES,
    FrameNumbers,
    TrueRange,
    VideoAnnotation,
    annotation_of,
    is_no_range,
)
from .annotation_table import read_csv
from .ucf_lines import UcfLine, ucf_lines

FORMATS = ("ucf-crime", "xd-violence", "csv")
ENDS = ("exclusive", "inclusive")
RANGE_CODE = re.compile(r"[A-Za-z]\w*")
XD_LABEL = re.compile(r"label_([A-Z0-9]+(?:-[A-Z0-9]+)*)$")
XD_LINE = re.compile(
    r"(?P<name>.*label_(?P<codes>[A-Z0-9]+(?:-[A-Z0-9]+)*)(?:\.\w+)?)(?:\s+(?P<ranges>.*))?"  # as in XD_LABEL
)


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
        format: `ucf-crime`, `xd-violence` (each line may be in the plain variant or in the one that gives each range a
            category) or `csv` (in frames or seconds; the header tells).
        normals: list of the normal videos that the file leaves out, as XD-Violence's does: either a published
            `path,label` list, of which only the normal rows are read, or names alone.
        ends: whether the end of a range is the first frame after it (`exclusive`) or its last one (`inclusive`).
        first_frame: number of a video's first frame, 0 or 1.

    Returns:
        Annotations in the file's order, then those of `normals` that the file does not have.

    Raises:
        ConfigError: a file cannot be read, or a line cannot be understood; the message names the line and what was
            expected.
        ValueError: `format`, `ends` or `first_frame` has a value that is not listed here.
    """
    if format not in FORMATS or ends not in ENDS or first_frame not in (0, 1):
        raise ValueError(f"expected format of {FORMATS}, ends of {ENDS}, first frame 0 or 1, got {format, ends}")
    path, numbers = Path(path), FrameNumbers(ends, first_frame)
    if format == "csv":
        annotations = read_csv(path, numbers)
    else:
        annotations, seen, lines = [], {}, _lines(path)
        ucf = ucf_lines([line for _, line in lines]) if format == "ucf-crime" else [None] * len(lines)
        for (line_number, line), parts in zip(lines, ucf, strict=True):
            where = f"{path}, line {line_number}"
            is_ucf = format == "ucf-crime"
            annotation = _ucf_line(line, parts, numbers, where) if is_ucf else _xd_line(line, numbers, where)
            _once(annotation.name, seen, where, f"line {line_number}")
            annotations.append(annotation)
    if not annotations:
        raise ConfigError(f"{path}: holds no annotations")
    return annotations + (_read_normals(Path(normals), annotations) if normals else [])


@dataclass(frozen=True, slots=True)
class TruthFile:
    """A ground-truth file and how it is written; the fields are the arguments of `read_annotations`."""

    path: Path
    format: str
    normals: Path | None = None
    ends: str = ENDS[0]
    first_frame: int = 0

    @classmethod
    def of(cls, path: Path | None, form: str | None, normals: Path | None, **counted: str | int) -> TruthFile | None:
        """Take the ground truth from a command's options.

        Args:
            path: --annotations.
            form: --format.
            normals: --normals.
            counted: `ends` and `first_frame`.

        Returns:
            None where the options name no ground truth.

        Raises:
            ConfigError: a file without its format, or a format or `normals` without a file.
        """
        if not (path or form or normals):
            return None
        if not (path and form):
            raise ConfigError("--annotations FILE and --format NAME belong together; --normals LIST is for them")
        return cls(path, form, normals, **counted)

    def read(self) -> list[VideoAnnotation]:
        """Read the file's annotations.

        Raises:
            ConfigError: the file cannot be read or understood, see `read_annotations`.
        """
        form = {name: getattr(self, name) for name in ("format", "normals", "ends", "first_frame")}
        return read_annotations(self.path, **form)


def _ucf_line(line: str, parts: UcfLine | None, numbers: FrameNumbers, where: str) -> VideoAnnotation:
    """Read a UCF-Crime line such as `Abuse028_x264.mp4  Abuse  165  240  -1  -1`."""
    if parts is None:
        raise ConfigError(
            f"{where}: expected `NAME  CATEGORY  START  END  -1  -1`, a frame count after the name or at the end, got "
            f"{quoted(line)}"
        )
    ranges = []
    for start, end in zip(parts.numbers[::2], parts.numbers[1::2], strict=True):
        if not is_no_range(start, end):
            ranges.append(TrueRange(*numbers.frames(start, end, where), parts.category))
    return annotation_of(parts.name, (parts.category,), ranges, where)


def _xd_line(line: str, numbers: FrameNumbers, where: str) -> VideoAnnotation:
    """Read an XD-Violence line: a name ending in `label_B4-0-0`, then ranges `s1 e1 s2 e2` or `B4 s1 e1 B4 s2 e2`."""
    match = XD_LINE.fullmatch(line)
    if not match:
        raise ConfigError(f"{where}: expected a name that ends in label_CODES and ranges, got {quoted(line)}")
    categories = _xd_categories(match["codes"].split("-"), where)
    values = (match["ranges"] or "").split()
    with_codes = bool(values) and bool(RANGE_CODE.fullmatch(values[0]))
    width = 3 if with_codes else 2
    if len(values) % width:
        expected = "CODE START END triples" if with_codes else "START END pairs"
        raise ConfigError(f"{where}: expected {expected}, got {quoted(match['ranges'])}")
    only = categories[0] if len(categories) == 1 else None
    ranges = []
    for position in range(0, len(values), width):
        *code, start, end = values[position : position + width]
        category = _xd_categories(code, where)[0] if code else only
        ranges.append(TrueRange(*numbers.frames(start, end, where), category))
    if with_codes:
        categories = tuple(dict.fromkeys(true_range.category for true_range in ranges))
    return annotation_of(match["name"], categories, ranges, where)


def _xd_categories(codes: list[str], where: str) -> tuple[str, ...]:
    codes = [code for code in codes if code != NO_CODE]
    unknown = [code for code in codes if code not in XD_NAMES]
    if unknown or not codes:
        raise ConfigError(
            f"{where}: {quoted(unknown[0]) if unknown else 'no'} is no XD-Violence code; they are {' '.join(XD_NAMES)}"
        )
    return tuple(dict.fromkeys(XD_NAMES[code] for code in codes))


def _read_normals(path: Path, annotations: list[VideoAnnotation]) -> list[VideoAnnotation]:
    known = {reading_form(strip_suffix(annotation.name)): annotation for annotation in annotations}
    labels: dict[str, str] = {}
    found = {}
    for listed in read_named(path):
        written, where = listed.name, listed.where
        is_features = written.strip().endswith(FEATURE_SUFFIXES)
        name = split_name(written.strip(), keep_folder=False)[0] if is_features else strip_suffix(written)
        code = XD_LABEL.search(name.strip())
        label = listed.label or (code[1] if code else NORMAL_NAME)
        key = reading_form(name)
        is_normal = normal_form(label) in NORMAL_NAMES
        if (normal_form(labels.setdefault(key, label)) in NORMAL_NAMES) != is_normal:
            raise ConfigError(
                f"{where}: {shown(name)} is labelled {shown(label)} here and {shown(labels[key])} above; keep one"
            )
        if not is_normal:
            continue
        if key in known and not known[key].is_normal:
            raise ConfigError(f"{where}: {shown(name)} is normal here and anomalous in the annotations")
        found[key] = VideoAnnotation(name, (), ())
    if not found:
        raise ConfigError(f"{path}: names no normal video (label Normal or A)")
    return [annotation for key, annotation in found.items() if key not in known]


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a file that are not blank, each with its number from 1."""
    lines = read_list_text(path).split("\n")
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]


def _once(name: str, seen: dict[str, str], where: str, this: str) -> None:
    earlier = seen.setdefault(reading_form(strip_suffix(name)), this)
    if earlier != this:
        raise ConfigError(f"{where}: {shown(name)} is there already in {earlier}")
