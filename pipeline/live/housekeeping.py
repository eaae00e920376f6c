"""What `watch` does beside its loop, as it may take a minute: `--on-event` commands, and joining small shards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vad_pipeline.extract.errors import VadError

from ..news.on_event import LIMIT_SECONDS, LOG_NAME, tell_new
from ..results.folder import Results

MERGE_SECONDS = 3600.0
AGAIN_SECONDS = 60.0  # after which a command that failed is tried again
LOOK_SECONDS = 1.0


class Housekeeping(threading.Thread):
    """Tells new events and keeps the folder of curves small, until `end`.

    Args:
        results: the results folder.
        command: program and arguments of --on-event; None: nobody is told.
        tell: prints a line.
    """

    def __init__(self, results: Path, command: Sequence[str] | None, tell: Callable[[str], None]):
        super().__init__(name="housekeeping", daemon=True)
        self._results, self._command, self._tell = results, command, tell
        self._news, self._over = threading.Event(), threading.Event()

    def notice(self) -> None:
        """There are events that may be news."""
        self._news.set()

    def end(self) -> None:
        """Tell what is still to be told, then end; waits as long as one command may take."""
        self._over.set()
        self._news.set()
        self.join(LIMIT_SECONDS)

    def run(self) -> None:
        """Do what is due, over and over."""
        merged = failed = time.monotonic()
        is_left = True  # what a run before this one has not told
        while not self._over.is_set():
            self._news.wait(LOOK_SECONDS)
            is_due = is_left and time.monotonic() - failed > AGAIN_SECONDS
            if self._news.is_set() or is_due:
                self._news.clear()
                is_left, failed = not self._told_all(), time.monotonic()
            if time.monotonic() - merged > MERGE_SECONDS:
                merged = time.monotonic()
                self._done(lambda: Results(self._results).merge())
        self._told_all()

    def _told_all(self) -> bool:
        """Run the command for each new event; whether it has ended well for all."""
        if self._command is None:
            return True
        telling = self._done(lambda: tell_new(Results(self._results), self._command))
        for failure in telling.failures if telling else ():
            self._tell(f"failed: --on-event, {failure}; it is tried again ({self._results / LOG_NAME})")
        return telling is not None and not telling.failures

    def _done(self, what: Callable):
        """Do it; where that cannot be done now, say why and give None: it will be tried again."""
        try:
            return what()
        except VadError as error:
            self._tell(f"note: {error}")
            return None
