"""Measures how long something took."""

from __future__ import annotations

import time


class Stopwatch:
    """Measures a `with` block: after `with Stopwatch() as watch: ...` its wall time is in `watch.seconds`."""

    def __enter__(self) -> Stopwatch:
        self._started = time.perf_counter()
        self.seconds = 0.0
        return self

    def __exit__(self, *exc_info) -> None:
        self.seconds = round(time.perf_counter() - self._started, 3)
