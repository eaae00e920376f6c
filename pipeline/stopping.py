"""SIGINT and SIGTERM: no signal is lost, and `stopping_between_steps` lets a run finish and save the current step."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
CALLBACK_SECONDS = 0.01  # after this long, the callback that a signal interrupted has ended


class Stop:
    """Remembers whether SIGINT or SIGTERM has arrived inside `stopping_between_steps`.

    Attributes:
        asked: whether one has arrived.
    """

    def __init__(self):
        self.asked = False
        self._previous: dict[int, object] = {}
        self._signal: int | None = None

    def obey(self) -> None:
        """If a signal has arrived, do now what it does elsewhere: usually, raise the exception of its handler."""
        if self._signal is not None:
            self._act(self._signal)

    def _act(self, signum: int) -> None:
        handler = self._previous[signum]
        if callable(handler):
            handler(signum, None)
        elif handler == signal.SIG_DFL:
            raise KeyboardInterrupt

    def _hear(self, signum: int, frame: object) -> None:
        if self.asked:  # the second signal stops at once
            self._act(signum)
        self.asked, self._signal = True, signum


@contextlib.contextmanager
def stopping_between_steps() -> Iterator[Stop]:
    """Inside this block the first SIGINT or SIGTERM is only noted; the caller checks `Stop.asked` between steps.

    In a thread other than the main one nothing changes, as only the main thread receives signals.
    """
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
    """Inside this block a signal is sent again if Python dropped the exception that its handler raised.

    Python drops exceptions that are raised in the callback of a weak reference, and h5py has many of those.

    Args:
        signals: exception class -> the signal whose handler raises it.
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
