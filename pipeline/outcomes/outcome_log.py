"""`OutcomeLog`: the outcome file of a run that is at work."""

from __future__ import annotations

import contextlib
import socket
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from vad_pipeline.extract.errors import StoreError

from .outcome_files import Failures, fold, latest_run, read_failures
from .run_story import RUN_ID_TIME, RunStory, time_now
from .video_outcome import VideoOutcome

COUNTS_SECONDS = 60.0  # how often what is only counted is written


def new_run_id(folder: Path) -> str:
    """Make a run id: run ids sort by time, and no two hosts make the same.

    It is later than those of the runs whose outcomes are in `folder`, whatever the clock says: were it set back, what
    an earlier run said of a video would overrule what this one says.
    """
    begun, latest = datetime.now(UTC), latest_run(folder)
    if latest is not None and begun <= latest:
        with contextlib.suppress(OverflowError):
            begun = latest + timedelta(microseconds=1)
    return f"{begun.strftime(RUN_ID_TIME)}-{uuid.uuid4().hex[:6]}"


class OutcomeLog:
    """The outcome file of a new run, FOLDER/RUN_ID.jsonl; used as `with OutcomeLog(FOLDER) as log`.

    An outcome `ok` or `failed` is a line of its own, in the file once `append` returns. Those `cached` are counted, and
    the count written once a minute and at the end, since an archive of a million videos has a million of them every
    hour; a kill may lose those of the last minute. One whose video failed when last tried has a line too: it tells that
    the video fails no more. At the end, outcome files of long ago are folded into one.
    """

    def __init__(self, folder: Path):
        self.run_id = new_run_id(folder)
        self.failures: Failures = read_failures(folder)
        """The videos that failed when they were last tried, this run's included."""
        self._folder, self._path = folder, folder / f"{self.run_id}.jsonl"
        self._host = socket.gethostname()
        self._file: IO[str] | None = None
        self._counted = RunStory.begun(self.run_id)
        self._counts_written = time.monotonic()

    def __enter__(self) -> OutcomeLog:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            self._write_counts()
            if self._file is not None:
                with self._writing():
                    self._file.close()
                fold(self._folder)
        except StoreError:
            if kind is None:  # else what ended the run is told
                raise

    def append(self, outcome: VideoOutcome) -> None:
        """Set run id, host and time of an outcome, and write it down.

        Raises:
            StoreError: the folder cannot be written.
        """
        outcome.run_id, outcome.host, outcome.time = self.run_id, outcome.host or self._host, time_now()
        if outcome.status == "cached" and outcome.footage not in self.failures.by_footage:
            self._counted.add(outcome)
            if time.monotonic() - self._counts_written >= COUNTS_SECONDS:
                self._write_counts()
            return
        self.failures.add(outcome)
        self._write(outcome.as_line())

    def _write_counts(self) -> None:
        if self._counted.counts:
            self._write(self._counted.as_line())
            self._counted = RunStory.begun(self.run_id)
        self._counts_written = time.monotonic()

    def _write(self, line: str) -> None:
        with self._writing():
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("a", encoding="utf-8")
            self._file.write(line + "\n")
            self._file.flush()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be written ({error.strerror}); make space and run again") from error
