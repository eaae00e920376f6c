"""What an annotation says about one video, and the checks that every format of annotations shares."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vad_pipeline.extract.errors import ConfigError, quoted, shown
from vad_pipeline.model.categories import NORMAL, XD_VIOLENCE, normal_form

NORMAL_NAME = XD_VIOLENCE[NORMAL].name
NORMAL_NAMES = frozenset({normal_form(NORMAL_NAME), normal_form(XD_VIOLENCE[NORMAL].code)})
NO_RANGE = re.compile(r"-1(\.0*)?")  # what published files write as start and end where there is no range
FRAME_NUMBER = re.compile(r"(-?[0-9]{1,12})(?:\.0*)?")  # pandas makes 10.0 of 10 in a column with empty cells
XD_NAMES = {category.code: category.name for category in XD_VIOLENCE}


@dataclass(frozen=True, slots=True)
class TrueRange:
    """A stretch of a video that the annotators call anomalous.

    `start` and `end` are half-open frames from 0 (int), or seconds (float).

    Raises:
        ValueError: `start` is below 0 or above `end`.
    """

    start: float
    end: float
    category: str | None
    """None where the file does not say which of the video's categories this stretch shows."""

    def __post_init__(self):
        if not 0 <= self.start <= self.end:
            raise ValueError(f"expected 0 <= start <= end, got {self.start} to {self.end}")


@dataclass(frozen=True, slots=True)
class VideoAnnotation:
    """What the annotators say about one video."""

    name: str
    """The video's name as the file writes it; `match_annotations` finds the result that it means."""
    categories: tuple[str, ...]
    """Anomaly categories, each once; none for a normal video."""
    ranges: tuple[TrueRange, ...]
    """The anomalous stretches, in the file's order; they may overlap."""
    in_seconds: bool = False
    """Whether the ranges are in seconds; otherwise they are in frames."""
    ends_inclusive: bool = False
    """Whether a range in seconds includes the frame shown at its end. Ranges in frames are half-open either way."""

    def __post_init__(self):
        if bool(self.categories) != bool(self.ranges):
            raise ValueError(f"expected categories and ranges, or neither, got {self.categories} and {self.ranges}")

    @property
    def is_normal(self) -> bool:
        """Whether the video has no anomalous range."""
        return not self.ranges


@dataclass(frozen=True, slots=True)
class FrameNumbers:
    """How an annotation file counts frames."""

    ends: str
    """`inclusive` or `exclusive`: whether a range includes its end."""
    first_frame: int
    """Number of a video's first frame, 0 or 1."""

    def frames(self, start: str, end: str, where: str) -> tuple[int, int]:
        """Turn a written range into half-open frames from 0.

        Raises:
            ConfigError: no frame numbers, before the first frame, or not start before end; `where` begins the message.
        """
        first, last = FRAME_NUMBER.fullmatch(start), FRAME_NUMBER.fullmatch(end)
        if not (first and last):
            raise ConfigError(f"{where}: {quoted(start)} to {quoted(end)} are no frame numbers")
        low = int(first[1]) - self.first_frame
        high = int(last[1]) - self.first_frame + (self.ends == "inclusive")
        if low < 0:
            raise ConfigError(f"{where}: frame {start} lies before the first frame, {self.first_frame}")
        check_order(low, high, f"{start} to {end}", where)
        return low, high


def category_key(name: str) -> str:
    """One key for all spellings of a category: case, spaces, `_` and `-` dropped, an XD-Violence code as its name."""
    return normal_form(XD_NAMES.get(name, name))


def annotation_of(name: str, categories: tuple | list, ranges: list[TrueRange], where: str) -> VideoAnnotation:
    """Make the annotation of one video.

    Raises:
        ConfigError: a normal video with a range, or another one without; `where` begins the message.
    """
    is_normal = any(normal_form(category) in NORMAL_NAMES for category in categories)
    if is_normal == bool(ranges):
        what = "a normal video has a range" if is_normal else f"{shown('|'.join(categories))}, but no range"
        raise ConfigError(f"{where}: {shown(name)}: {what}")
    return VideoAnnotation(name, () if is_normal else tuple(categories), tuple(ranges))


def is_no_range(start: str, end: str) -> bool:
    """Whether start and end are both -1, by which published files say that there is no range."""
    return bool(NO_RANGE.fullmatch(start) and NO_RANGE.fullmatch(end))


def check_order(low: float, high: float, written: str, where: str) -> None:
    """Refuse a range that does not end after its start."""
    if low >= high:
        raise ConfigError(f"{where}: the range {shown(written)} is reversed or empty (`--ends inclusive`?)")
