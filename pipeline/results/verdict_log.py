"""RESULTS/verdicts.jsonl: all that reviewers said of a results folder's videos, one mark a line, only ever added to."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, readable
from vad_pipeline.extract.names import plural, some
from vad_pipeline.extract.only_process import in_turn

from .folder import Results
from .line_log import append_lines, read_lines
from .verdicts import LINES_SUFFIX, Verdict, brought_together, verdict_of

logger = logging.getLogger(__name__)

LOG_NAME = f"verdicts{LINES_SUFFIX}"


@dataclass(slots=True)
class Imported:
    """What became of verdicts that were given to a results folder."""

    n_new: int = 0
    n_known: int = 0
    """Verdicts that the folder held already."""
    of_others: set[str] = field(default_factory=set)
    """Ids of videos that the results do not hold: what was said of them is not taken in."""
    n_of_others: int = 0
    beyond: list[str] = field(default_factory=list)
    """Ids of events that end after their video, so that they were marked on other footage; not taken in either."""

    def __str__(self) -> str:
        return f"{plural(self.n_new, 'new verdict')}, {self.n_known} held already"

    @property
    def refused(self) -> list[str]:
        """A sentence for each reason why verdicts were not taken in."""
        found = []
        if self.n_of_others:
            names = some(sorted(self.of_others))
            found.append(f"{plural(self.n_of_others, 'verdict')} on videos that these results do not hold: {names}")
        if self.beyond:
            names = some([readable(event_id) for event_id in self.beyond])
            found.append(f"{plural(len(self.beyond), 'verdict')} on frames past the end of the video: {names}")
        return found


def kept_verdicts(results: Path) -> list[Verdict]:
    """All verdicts in a results folder's log, in the order in which they came.

    Lines that cannot be read, such as the last one of a killed import, are passed over with a warning.

    Raises:
        StoreError: the log cannot be read.
    """
    path = results / LOG_NAME
    found, damaged = [], []
    for number, row in read_lines(path):
        try:
            found.append(verdict_of(row or {}, f"{path}, line {number}"))
        except ConfigError:  # told below
            damaged.append(number)
    if damaged:
        told = f"{plural(len(damaged), 'line')} of it cannot be read ({some(list(map(str, damaged)))})"
        logger.warning("%s: %s and passed over; give the export that it is of again, and delete it", path, told)
    return found


def latest_verdicts(results: Path) -> list[Verdict]:
    """What counts of a results folder's verdicts: of each event and reviewer the latest, as `brought_together` has it.

    Raises:
        StoreError: the log cannot be read.
    """
    return brought_together([kept_verdicts(results)])


def import_verdicts(results: Results, given: Iterable[Verdict]) -> Imported:
    """Add verdicts to a results folder's log: those that it does not hold yet, and that are of its videos.

    Once this returns they are on the disk, whatever becomes of the process. Of several processes one adds at a time.

    Raises:
        StoreError: the log cannot be read or written.
    """
    found = Imported()
    n_frames = {held.video: held.n_frames for held in results.all_held()}
    taken: list[Verdict] = []
    for verdict in (each for each in given if each.is_said):  # that an event is open is no verdict
        if verdict.video not in n_frames:
            found.of_others.add(verdict.video)
            found.n_of_others += 1
        elif n_frames[verdict.video] and verdict.end_frame > n_frames[verdict.video]:
            found.beyond.append(verdict.event_id)
        else:
            taken.append(verdict)
    with in_turn(results.path):
        new = list(dict.fromkeys(taken))
        held = set(kept_verdicts(results.path)) if new else set()
        new = [verdict for verdict in new if verdict not in held]
        if new:
            append_lines(results.path / LOG_NAME, map(asdict, new))
    found.n_new, found.n_known = len(new), len(taken) - len(new)
    return found
