"""Which of a machine's worker processes this is: it picks the GPU where there are several."""

from __future__ import annotations

import os

LANE_VARIABLE = "VAD_PIPELINE_LANE"  # counted from 0; set by whoever starts the processes


def lane() -> int:
    """This process's number; 0 where nobody gave it one."""
    return int(os.environ.get(LANE_VARIABLE, 0))
