"""What a cluster's worker does with one item: one at a time in a process, never longer than it may."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from .base import Attempt, TimedOut, Work, attempt

FAREWELL_SECONDS = 1.0  # for a result to leave before its process ends
_one_at_a_time = threading.Lock()  # one encoder a process, whatever the worker's number of threads


def do_remotely(work: Work, item: Any, video_timeout: float | None) -> Attempt:
    """Do an item; what takes too long is left behind with the process, which ends.

    Whatever the cluster has given to that process meanwhile, it gives to another one.
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
