"""What annotators say of a video, and what a file of them must hold to in order to say it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.model.categories import NORMAL, XD_VIOLENCE, normal_form

NORMAL_NAME = XD_VIOLENCE[NORMAL].name
NORMAL_NAMES = frozenset({normal_form(NORMAL_NAME), normal_form(XD_VIOLENCE[NORMAL].code)})
NO_RANGE = re.compile(r"-1(\.0*)?")  # start and end of a range that is not there
FRAME_NUMBER = re.compile(r"(-?[0-9]{1,12})(?:\.0*)?")  # pandas makes 10.0 of 10 in a column with empty cells
XD_NAMES = {category.code: category.name for category in XD_VIOLENCE}


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
class FrameNumbers:
    """How a file counts its frames."""

    ends: str
    first_frame: int

    def frames(self, start: str, end: str, where: str) -> tuple[int, int]:
        """Half-open frames from 0, or ConfigError."""
        first, last = FRAME_NUMBER.fullmatch(start), FRAME_NUMBER.fullmatch(end)
        if not (first and last):
            raise ConfigError(f"{where}: {start!r} to {end!r} are no frame numbers")
        low = int(first[1]) - self.first_frame
        high = int(last[1]) - self.first_frame + (self.ends == "inclusive")
        if low < 0:
            raise ConfigError(f"{where}: frame {start} lies before the first frame, {self.first_frame}")
        check_order(low, high, f"{start} to {end}", where)
        return low, high


def category_key(name: str) -> str:
    """What two spellings of a category have in common: case, space, `_`, `-` aside, XD-Violence's codes resolved."""
    return normal_form(XD_NAMES.get(name, name))


def annotation_of(name: str, categories: tuple | list, ranges: list[TrueRange], where: str) -> VideoAnnotation:
    """A video is normal and has no range, or is not and has some."""
    is_normal = any(normal_form(category) in NORMAL_NAMES for category in categories)
    if is_normal == bool(ranges):
        what = "a normal video has a range" if is_normal else f"{'|'.join(categories)}, but no range"
        raise ConfigError(f"{where}: {name}: {what}")
    return VideoAnnotation(name, () if is_normal else tuple(categories), tuple(ranges))


def is_no_range(start: str, end: str) -> bool:
    """Whether both places of a range hold -1: there is none."""
    return bool(NO_RANGE.fullmatch(start) and NO_RANGE.fullmatch(end))


def check_order(low: float, high: float, written: str, where: str) -> None:
    """Refuse a range that does not end after its start."""
    if low >= high:
        raise ConfigError(f"{where}: the range {written} is reversed or empty (`--ends inclusive`?)")
