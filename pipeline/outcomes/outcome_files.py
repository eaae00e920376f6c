"""The outcome files of a folder: read as they are, whatever is damaged in them, and folded into one once they are old.

A folder of three runs, the oldest of which has been folded:

    folded-20260102T030405.000000Z-a1b2c3.jsonl    lines of videos that were done, of those that still fail, and a line
                                                   of figures for every run in it
    20260301T030405.000000Z-d4e5f6.jsonl           a line a video, and figures of those that were there already
    20260301T040405.000000Z-0718e9.jsonl

A crash while files are folded leaves some of them beside the one that holds them: each run's file counts only where no
folded one tells of that run.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.files import SourceFile, written_aside
from vad_pipeline.extract.only_process import only_process

from .checks import record_of
from .run_story import RunStory, time_in
from .video_outcome import REMEMBERED, VideoOutcome

logger = logging.getLogger(__name__)

FOLDED = "folded-"
FOLD_AFTER_SECONDS = 24 * 3600  # nobody writes to a file any more that was not touched for so long
FOLD_FILES, FOLD_BYTES = 50, 1 << 20  # folding waits for so many old files, or so much in them
LISTINGS = 10  # how often a folder is read again while other runs fold files in it
# failure codes whose cause is not the file's content, so that trying again may help
NOT_REMEMBERED = frozenset({"unreadable", "id_clash", "timeout", "worker_died", "unexpected"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an outcome file."""

    run_id: str
    text: str
    told: VideoOutcome | RunStory | None
    """What it says; None where it is damaged."""
    is_folded: bool
    """Whether the figures of its run tell of its outcome too, so that it is not counted again."""


class TakesLines(Protocol):
    """What lines are read into."""

    def take(self, line: Line) -> None:
        """Take in one line: those of earlier runs come first."""


Taker = TypeVar("Taker", bound=TakesLines)


def taken_into(new: Callable[[], Taker], folder: Path) -> Taker:
    """Read all outcome files of a folder into a new taker, but no lines of videos done out of folded files: there they
    are most lines, and whatever was known of these videos before is not in the file.

    Args:
        new: makes the taker; once more where another run folds files meanwhile.
        folder: the folder.

    Raises:
        StoreError: other runs fold files all the time.
    """
    for _ in range(LISTINGS):
        taker = new()
        with contextlib.suppress(FileNotFoundError):
            for line in _each_line((*_folded_files(folder)[-1:], *_run_files(folder)), whole=False):
                taker.take(line)
            return taker
    raise StoreError(f"{folder}: other runs are folding it; run the same command again")


def _each_line(paths: Iterable[Path], *, whole: bool) -> Iterator[Line]:
    """The lines of files, folded ones first.

    Args:
        paths: the files.
        whole: whether a file that cannot be read is an error, and lines of videos done in folded files come too.
    """
    told: set[str] = set()
    for path in paths:
        if path.stem in told:
            continue
        try:
            for line in _lines_of(path, whole=whole):
                if line.is_folded:
                    told.add(line.run_id)
                yield line
        except OSError as error:  # for example another user's file: the failures in it are then tried again
            if whole or isinstance(error, FileNotFoundError):
                raise
            logger.warning("%s: passed over, cannot be read (%s)", path, error.strerror)


def _run_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.jsonl") if not path.name.startswith((FOLDED, ".")))


def _folded_files(folder: Path) -> list[Path]:
    """The last one holds all that the others hold."""
    return sorted(folder.glob(f"{FOLDED}*.jsonl"))


def latest_run(folder: Path) -> datetime | None:
    """When the last run began whose outcomes are in a folder, by their ids; None where there is none."""
    ids = (path.stem.removeprefix(FOLDED) for path in (*_folded_files(folder), *_run_files(folder)))
    return max(filter(None, map(time_in, ids)), default=None)


def _lines_of(path: Path, *, whole: bool) -> Iterator[Line]:
    """The lines of a file; one that a kill has cut off is passed over."""
    is_folded, own = path.name.startswith(FOLDED), path.stem.removeprefix(FOLDED)
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            if is_folded and not whole and '"status": "ok"' in text:
                continue
            try:
                record = record_of(text)
                told = RunStory.of_record(record) if "counts" in record else VideoOutcome.of_record(record)
            except ValueError:
                if text.endswith("\n"):
                    yield Line(own, text, None, is_folded)
                continue
            yield Line((told.run_id or own) if is_folded else own, text, told, is_folded)


@dataclass(frozen=True, slots=True)
class RememberedFailure:
    """A failure of an earlier run that will happen again unless the file changes."""

    code: str
    reason: str
    size: int
    mtime_ns: int

    def holds(self, file: SourceFile) -> bool:
        """Whether `file` is still the one that failed."""
        return (self.size, self.mtime_ns) == (file.size, file.mtime_ns)


@dataclass(slots=True)
class Failures:
    """The videos that failed when they were last tried."""

    by_footage: dict[tuple[str, int], VideoOutcome] = field(default_factory=dict)
    """Path and stream -> outcome."""
    by_recipe: dict[tuple[tuple[str, int], str | None], VideoOutcome] = field(default_factory=dict)
    """The same and the recipe id -> outcome: a video may fail by one recipe and be there by another."""

    def take(self, line: Line) -> None:
        """Take in a line of an outcome file."""
        if isinstance(line.told, VideoOutcome):
            self.add(line.told)

    def add(self, outcome: VideoOutcome) -> None:
        """Take in what became of a video now."""
        footage = outcome.footage
        for known, key in ((self.by_footage, footage), (self.by_recipe, (footage, outcome.recipe_id))):
            known.pop(key, None)
            if outcome.status == "failed":
                known[key] = outcome

    def remembered(self, recipe_id: str) -> dict[tuple[str, int], RememberedFailure]:
        """Path and stream of each video that need not be tried again by this recipe -> why."""
        return {
            footage: RememberedFailure(
                failed.code, (failed.error or "").removesuffix(REMEMBERED).rstrip(), failed.size, failed.mtime_ns
            )
            for (footage, of_recipe), failed in self.by_recipe.items()
            if of_recipe == recipe_id
            and None not in (failed.size, failed.mtime_ns)
            and failed.code not in NOT_REMEMBERED
        }


def read_failures(folder: Path) -> Failures:
    """Read what failed when it was last tried from a folder of outcome files."""
    return taken_into(Failures, folder)


def fold(folder: Path) -> None:
    """Fold outcome files of long ago into one, if there are enough of them. Of their lines stay those of videos that
    were done, once, and of those that still fail; of each run, its figures. It may fail: the next run tries again."""
    try:
        with only_process(folder / ".folding") as alone:
            if alone:
                _fold(folder)
    except (StoreError, OSError) as error:
        logger.warning("%s: old outcomes stay as they are (%s)", folder, error)


def _fold(folder: Path) -> None:
    old = list(_of_long_ago(_run_files(folder)))
    if len(old) < FOLD_FILES and sum(path.stat().st_size for path in old) < FOLD_BYTES:
        return
    earlier = _folded_files(folder)
    newest = max(path.stem.removeprefix(FOLDED) for path in (*earlier, *old))
    target = folder / f"{FOLDED}{newest}.jsonl"
    stories: dict[str, RunStory] = {}
    failures = Failures()
    with written_aside(target) as aside, aside.open("w", encoding="utf-8") as file:
        for line in _each_line((*earlier[-1:], *old), whole=True):
            stories.setdefault(line.run_id, RunStory.begun(line.run_id)).take(line.told, counted=line.is_folded)
            failures.take(line)
            if isinstance(line.told, VideoOutcome) and line.told.status == "ok":
                file.write(line.text)
        for failed in failures.by_recipe.values():
            file.write(failed.as_line() + "\n")
        file.writelines(f"{story.as_line()}\n" for story in stories.values() if story.counts)
    for path in (*earlier, *old):
        if path != target:
            path.unlink(missing_ok=True)


def _of_long_ago(paths: Iterable[Path]) -> Iterator[Path]:
    """The first of some files, as far as all are old: later lines overrule earlier ones. Others' files stay."""
    now = time.time()
    for path in itertools.takewhile(lambda path: now - path.stat().st_mtime > FOLD_AFTER_SECONDS, paths):
        if path.is_file() and os.access(path, os.R_OK):
            yield path
