"""What `extract` and `detect` show while they work: videos done, frames a second, time left, failures."""

from __future__ import annotations

import contextlib
import sys
import time

import click
from tqdm import tqdm

from vad_pipeline.extract.names import plural

from ..outcomes.video_outcome import VideoOutcome
from ..progress import PLAIN_EVERY_SECONDS, in_words


class Progress:
    """Shows the progress of a run over videos; it is called with each outcome.

    Args:
        total: how many videos there are.
        doing: the verb that is shown, for example `extract`.
        quiet: show only failures, and only of videos that did not fail before.
    """

    def __init__(self, total: int, *, doing: str, quiet: bool):
        self._total, self._doing = total, doing
        self._done = self._frames = self._told = 0
        self._started = self._last_line = time.monotonic()
        self._bar = None
        self._plain = not quiet and not sys.stderr.isatty()
        if not quiet and sys.stderr.isatty():
            self._bar = tqdm(total=total, desc=doing, unit="video", file=sys.stderr, dynamic_ncols=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc_info) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._plain and self._last_line != self._started and self._told < self._done:
            self._line()

    def __call__(self, outcome: VideoOutcome) -> None:
        """Show an outcome. If nothing can be written (closed pipe, full disk), the work still goes on."""
        with contextlib.suppress(OSError):
            self._show(outcome)

    def _show(self, outcome: VideoOutcome) -> None:
        self._done += 1
        if outcome.status == "ok":
            self._frames += outcome.n_frames or 0
        is_news = not outcome.failed_before or self._plain or self._bar is not None  # --quiet is told once
        if outcome.status == "failed" and is_news:
            self._say(f"failed [{outcome.code}] {outcome.footage_in_words}: {outcome.error}")
        elif outcome.status == "ok" and (self._plain or self._bar is not None):
            for warning in outcome.warnings:
                self._say(f"note {outcome.video}: {warning}")
        rate = self._frames / max(time.monotonic() - self._started, 1e-9)
        if self._bar is not None:
            self._bar.set_postfix_str(f"{rate:.0f} frames/s", refresh=False)
            self._bar.update()
        elif self._plain and time.monotonic() - self._last_line >= PLAIN_EVERY_SECONDS:
            self._line()

    def _line(self) -> None:
        self._last_line, self._told = time.monotonic(), self._done
        elapsed = self._last_line - self._started
        left = elapsed / self._done * (self._total - self._done)
        click.echo(
            f"{self._doing}: {self._done} of {plural(self._total, 'video')}, "
            f"{self._frames / max(elapsed, 1e-9):.0f} frames/s, about {in_words(left)} left",
            err=True,
        )

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            click.echo(line, err=True)
