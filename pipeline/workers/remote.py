"""What a worker of a cluster does with one item: one item at a time in a process, within the time limit."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from .base import Attempt, TimedOut, Work, attempt

FAREWELL_SECONDS = 1.0  # time for a result to be sent before its process ends
_one_at_a_time = threading.Lock()  # a process has one encoder, however many threads the worker has


def do_remotely(work: Work, item: Any, video_timeout: float | None) -> Attempt:
    """Work on one item; if it takes too long, report that and end this process, as a thread cannot be stopped.

    The cluster gives other items that this process was holding to another one.
    """
    with _one_at_a_time:
        begun = attempt(work.get_ready, None)
        if begun.error is not None:
            return begun
        if video_timeout is None:
            return attempt(work.do, item)
        results: list[Attempt] = []
        thread = threading.Thread(target=lambda: results.append(attempt(work.do, item)), daemon=True)
        thread.start()
        thread.join(video_timeout)
        if results:
            return results[0]
        threading.Timer(FAREWELL_SECONDS, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return Attempt(error=TimedOut(video_timeout))
