"""What a run shows while it works: a bar on a terminal, plain lines elsewhere, nothing with --quiet but failures."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import click
from tqdm import tqdm

from .archive.outcomes import VideoOutcome

PLAIN_EVERY_SECONDS = 10


@contextlib.contextmanager
def counting(
    doing: str, *, quiet: bool, total: int | None = None, unit: str = "video"
) -> Iterator[Callable[..., None]]:
    """A callable that is told each video id as work on it begins, or how many units are done: a bar on a terminal,
    plain lines elsewhere."""
    count, last_line = 0, time.monotonic()

    def on_unit(done: str | int) -> None:
        nonlocal count, last_line
        n = done if isinstance(done, int) else 1
        count += n
        if bar is not None:
            bar.update(n)
        elif not quiet and time.monotonic() - last_line >= PLAIN_EVERY_SECONDS:
            last_line = time.monotonic()
            click.echo(f"{doing}: {count}{f' of {total}' if total else ''} {unit}s", err=True)

    bar = None
    if not quiet and sys.stderr.isatty():
        bar = tqdm(total=total, desc=doing, unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True)
    try:
        yield on_unit
    finally:
        if bar is not None:
            bar.close()


class Progress:
    """Told of each outcome; keeps the count, the frame rate and the time left.

    Args:
        total: videos to work on.
        doing: the verb, for example `extract`.
        quiet: show failures only.
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
        """Show it; where nobody can be shown anything (closed pipe, full log disk) the work goes on."""
        with contextlib.suppress(OSError):
            self._show(outcome)

    def _show(self, outcome: VideoOutcome) -> None:
        self._done += 1
        if outcome.status == "ok":
            self._frames += outcome.n_frames or 0
        if outcome.status == "failed":
            self._say(f"failed [{outcome.code}] {outcome.path}: {outcome.error}")
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
            f"{self._doing}: {self._done} of {self._total} videos, {self._frames / max(elapsed, 1e-9):.0f} frames/s, "
            f"about {left:.0f} s left",
            err=True,
        )

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            click.echo(line, err=True)


def in_words(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`, `4.2 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
