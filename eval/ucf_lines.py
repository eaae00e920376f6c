"""Lines of UCF-Crime's ground truth, in the published form and in those that circulate: with each video's frame count,
with tabs, or with single blanks between the fields."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vad_pipeline.extract.names import strip_suffix
from vad_pipeline.model.categories import UCF_CRIME, normal_form

NUMBER = re.compile(r"-?\d+(?:\.0+)?")
BETWEEN_FIELDS = re.compile(r"\s*\t\s*|\s{2,}")
N_NUMBERS = 4  # a published line has two ranges; -1 fills the places of a range that is not there
KNOWN = frozenset(normal_form(category.name) for category in UCF_CRIME)
MAX_WORDS = max(map(len, KNOWN))  # of a known category's name
MAX_DIGITS = 12  # of a frame count


@dataclass(frozen=True, slots=True)
class UcfLine:
    """What one line says about a video."""

    name: str
    category: str
    numbers: tuple[str, ...]
    """The start and end of each range in turn, as written."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """A line split into its fields, before it is clear whether a number after the name belongs to the name."""

    name: str
    count: str | None
    """What may be the video's frame count; None where the line has no such number."""
    category: str
    numbers: tuple[str, ...]
    is_certain: bool
    """Whether `count` is surely a frame count; otherwise it may be the last word of the name."""

    @property
    def count_is_plausible(self) -> bool:
        """Whether every range starts before frame `count`. Ranges may end later, as some published ones do."""
        return self.count is not None and all(float(start) < int(self.count) for start in self.numbers[::2])


def ucf_lines(lines: Sequence[str]) -> list[UcfLine | None]:
    """What each line of a file says; None for a line that cannot be understood.

    A line is `NAME CATEGORY START END -1 -1`, with tabs or blanks between the fields; the video's frame count may stand
    after the name, or at the end. Whether the 70 of `cam 70 Abuse ...` is a frame count or part of the name is decided
    from all lines together: it is a frame count if it can be one in every line and the names still differ.
    """
    parts = [_taken_apart(line) for line in lines]
    understood = [each for each in parts if each]
    all_counted = all(each.count_is_plausible for each in understood)
    all_counted &= len({each.name for each in understood}) == len(understood)  # cam 70, cam 71
    return [each and _understood(each, all_counted) for each in parts]


def _understood(parts: _Parts, all_counted: bool) -> UcfLine | None:
    name = parts.name
    if parts.count is not None and not parts.is_certain and not all_counted:
        name = f"{name} {parts.count}"
    elif parts.count is not None and not parts.count_is_plausible:
        return None
    return UcfLine(name, parts.category, parts.numbers) if len(parts.numbers) % 2 == 0 else None


def _taken_apart(line: str) -> _Parts | None:
    head, *numbers = line.rsplit(maxsplit=_n_last_numbers(line.split()))
    fields = BETWEEN_FIELDS.split(head) if len(numbers) >= 2 else []
    is_loose = len(fields) == 1
    if is_loose:
        fields = _name_and_category(fields[0].split())
    if len(fields) not in (2, 3) or (len(fields) == 3 and not _is_count(fields[1])):
        return None
    numbers, is_certain = tuple(numbers), len(fields) == 3
    name, count, category = fields[0], fields[1] if is_certain else None, fields[-1]
    before, _, last = name.rpartition(" ")
    if count is None and _is_count(last) and (_is_file(before) or (is_loose and before)):
        name, count, is_certain = before, last, _is_file(before)
    elif count is None and len(numbers) == N_NUMBERS + 1 and _is_count(numbers[-1]):
        count, numbers, is_certain = numbers[-1], numbers[:-1], True
    return _Parts(name, count, category, numbers, is_certain)


def _n_last_numbers(words: list[str]) -> int:
    """How many words at the end of a line are frame numbers; its first word is none, as it is the name."""
    return sum(1 for _ in itertools.takewhile(NUMBER.fullmatch, reversed(words[1:])))


def _name_and_category(words: list[str]) -> list[str]:
    """Split words that single blanks separate into name and category.

    The category is a known one, or else all words after a file's name, or else the last word.
    """
    n_words = len(words)
    for first in range(max(1, n_words - MAX_WORDS), n_words):
        if normal_form("".join(words[first:])) in KNOWN:
            return [" ".join(words[:first]), " ".join(words[first:])]
    file = next((i for i, word in enumerate(words[:-1]) if _is_file(word)), None)
    if file is not None and file + 2 < n_words and _is_count(words[file + 1]):
        file += 1
    first = n_words - 1 if file is None else file + 1
    return [" ".join(words[:first]), " ".join(words[first:])] if n_words > 1 else words


def _is_file(name: str) -> bool:
    return strip_suffix(name) != name


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS and int(text) > 0
