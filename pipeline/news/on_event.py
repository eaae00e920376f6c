"""`detect --on-event`: runs a command once for each new event of a results folder.

Of each event the command gets one JSON object on its standard input: the event's line of events.jsonl, its camera, and
the paths of a picture of its peak and of its clip. Once the command has ended well, the event is noted down as told
(`told.py`). So a run that is killed tells no event twice but the one at hand, and that one with the same id.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from vad_pipeline.extract.errors import StoreError, VideoError, readable
from vad_pipeline.extract.names import plural, some
from vad_pipeline.extract.only_process import only_process

from ..clips.make import ClipsConfig, make_clips
from ..clips.manifest import clip_name
from ..clips.snapshot import SNAPSHOT_SUFFIX, write_snapshot
from ..outcomes.run_story import time_now
from ..results.event_rows import HeldEvent, event_row, write_events
from ..results.event_rule import Chosen
from ..results.folder import Results
from ..results.run_record import RECORD_NAME, read_record, rule_of
from ..results.run_settings import settings_of
from ..results.verdicts import FALSE_ALARM
from .told import TOLD, Told, by_another_rule, events_there

LOG_NAME = "on_event.log"
LOCK_NAME = ".on-event"
CLIPS_FOLDER = "clips"
LIMIT_SECONDS = 60.0
MOST_IN_A_ROW = 3  # failures, after which the command is not run again before the next run: it will fail for all


@dataclass(slots=True)
class Telling:
    """What became of the new events of a results folder."""

    command: Sequence[str]
    n_told: int = 0
    failures: list[str] = field(default_factory=list)
    """A sentence for each event whose command failed; the next run tries again."""
    n_left: int = 0
    """New events that the command was not run for, as it had failed several times in a row."""
    is_at_work_elsewhere: bool = False
    """Whether another process is telling this folder's events, so that this one did not."""

    def __str__(self) -> str:
        if self.is_at_work_elsewhere:
            return "new events are being told by another run; what it leaves is told by the next one"
        failed = f", {len(self.failures)} failed" if self.failures else ""
        left = f", {self.n_left} left for the next run" if self.n_left else ""
        return f"{plural(self.n_told, 'new event')} told to {shlex.join(self.command)}{failed}{left}"


def begin_telling(results: Path, chosen: Chosen) -> None:
    """Find out what is no news before a run looks for new events.

    In a folder that has events already, and is told of for the first time, these are no news. Nor is what comes to
    light only because this run sets another threshold, merge gap or clock.

    Args:
        results: the results folder; it need not exist yet.
        chosen: what the run sets.
    """
    told = Told(results)
    if not told.has_begun:
        told.begin(events_there(results))
    elif (results / RECORD_NAME).exists():
        record = read_record(results)
        if rule_of(results, chosen.put_into(record)) != rule_of(results, record):
            with by_another_rule(results):
                write_events(Results.open(results), chosen)


def tell_new(results: Results, command: Sequence[str]) -> Telling:
    """Run a command for each event that is news and not marked as a false alarm.

    Args:
        results: the results folder, of which `begin_telling` was called.
        command: program and arguments; no shell reads them.

    Raises:
        StoreError: the folder cannot be read or written.
    """
    telling = Telling(command)
    with only_process(results.path / LOCK_NAME) as alone:
        if not alone:
            telling.is_at_work_elsewhere = True
            return telling
        told = Told(results.path)
        new = [held for held in events_there(results.path) if held.mark != FALSE_ALARM and told.is_news(held)]
        telling.n_left, failed_in_a_row = len(new), 0
        for _, group in groupby(new, key=lambda held: held.video):
            events = list(group)
            for held, files in zip(events, _files_of(results, events), strict=True):
                failure = _run(command, held, files, results)
                failed_in_a_row = failed_in_a_row + 1 if failure else 0
                telling.n_left -= 1
                if failure:
                    telling.failures.append(f"{readable(held.event_id)}: {failure}")
                else:
                    told.add([held], TOLD)
                    telling.n_told += 1
                if failed_in_a_row == MOST_IN_A_ROW:
                    return telling
    return telling


def _files_of(results: Results, events: Sequence[HeldEvent]) -> list[dict]:
    """For each event of one video, where its picture and its clip are; null, and a `problem`, where there is none."""
    folder, problems = results.path / CLIPS_FOLDER, {}
    made = make_clips(results, events, ClipsConfig(), folder, on_video=lambda video: None)
    found = []
    for held in events:
        clip = folder / clip_name(held)
        snapshot = clip.with_suffix(SNAPSHOT_SUFFIX)
        try:
            if not snapshot.exists():
                write_snapshot(snapshot, results, held)
        except VideoError as error:
            problems[held.event_id] = str(error)
        paths = {
            "snapshot": str(snapshot.resolve()) if snapshot.exists() else None,
            "clip": str(clip.resolve()) if held.event_id not in made.failed else None,
        }
        problem = problems.get(held.event_id) or (some(made.failures) if held.event_id in made.failed else None)
        found.append(paths | ({"problem": problem} if problem else {}))
    return found


def _run(command: Sequence[str], held: HeldEvent, files: dict, results: Results) -> str:
    """Run the command for one event; return why it failed, empty where it ended well."""
    settings = settings_of(results)
    row = event_row(held.video, held.event, settings.reading(held.video)) | {"mark": held.mark or None}
    row |= {"calibrated": settings.calibrated, "camera": settings.rule.camera_of(held.video)}
    given = json.dumps(row | {"results": str(results.path.resolve())} | files) + "\n"
    try:
        with (results.path / LOG_NAME).open("ab") as log:
            log.write(f"== {time_now()} {readable(held.event_id)}\n".encode())
            log.flush()
            failure = _ended(command, given.encode(), log)
            log.write(f"-- {failure or 'ended well'}\n".encode())
    except OSError as error:
        where = error.filename or results.path / LOG_NAME
        raise StoreError(f"{where}: {error.strerror}; mend that, then run the same command again") from error
    return failure


def _ended(command: Sequence[str], given: bytes, log) -> str:
    """Run a command to its end, or to the time limit; return why it failed, empty where it ended well."""
    # in a session of its own, so that all that it has started can be ended with it
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
    try:
        process.communicate(given, timeout=LIMIT_SECONDS)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return f"ended after {LIMIT_SECONDS:g} s, which is the limit"
        raise
    return f"exit code {process.returncode}" if process.returncode else ""
