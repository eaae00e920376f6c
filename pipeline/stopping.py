"""Signals: none is lost, and during long steps the one in hand is finished and saved before the run stops."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
CALLBACK_SECONDS = 0.01  # in which the callback that a signal landed in has ended


class Stop:
    """Whether a signal has come.

    Attributes:
        asked: one has.
    """

    def __init__(self):
        self.asked = False
        self._previous: dict[int, object] = {}
        self._signal: int | None = None

    def obey(self) -> None:
        """Do what the signal does elsewhere, where one has come."""
        if self._signal is not None:
            self._act(self._signal)

    def _act(self, signum: int) -> None:
        handler = self._previous[signum]
        if callable(handler):
            handler(signum, None)
        elif handler == signal.SIG_DFL:
            raise KeyboardInterrupt

    def _hear(self, signum: int, frame: object) -> None:
        if self.asked:  # asked twice: at once
            self._act(signum)
        self.asked, self._signal = True, signum


@contextlib.contextmanager
def stopping_between_steps() -> Iterator[Stop]:
    """Inside, a first SIGINT or SIGTERM is only noted; outside the main thread nothing changes."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    for signum in SIGNALS:
        stop._previous[signum] = signal.signal(signum, stop._hear)
    try:
        yield stop
    finally:
        for signum, handler in stop._previous.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def never_dropped(signals: dict[type[BaseException], int]) -> Iterator[None]:
    """Inside, a signal whose exception Python drops comes again: it does so with what is raised in the callback of a
    weak reference, and h5py has many of them.

    Args:
        signals: by the exception that their handlers raise.
    """
    previous = sys.unraisablehook

    def hear(dropped: sys.UnraisableHookArgs) -> None:
        signum = signals.get(dropped.exc_type)
        if signum is None:
            previous(dropped)
            return
        again = threading.Timer(CALLBACK_SECONDS, os.kill, (os.getpid(), signum))
        again.daemon = True
        again.start()

    sys.unraisablehook = hear
    try:
        yield
    finally:
        sys.unraisablehook = previous
