"""The number of this worker process among those of the machine; where there are several GPUs, it picks one."""

from __future__ import annotations

import os

LANE_VARIABLE = "VAD_PIPELINE_LANE"  # counted from 0; set by whoever starts the processes


def lane() -> int:
    """This process's number, from 0; 0 where it was given none."""
    return int(os.environ.get(LANE_VARIABLE, 0))
