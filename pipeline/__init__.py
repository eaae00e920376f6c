"""Wires the rooms: which videos, in which order, what becomes of failures, and the command line.

In: options and paths. Out: stores, results, exit codes. Imports from every other room; nothing imports it. Its closets,
left to right: `results`, `media`, `workers`, `archive`, `train`, `clips`, `review`, `demo`, `commands`.
"""

from vad_pipeline.extract.front_door import front_door

__getattr__, __dir__ = front_door(
    __name__,
    {
        "results.folder": "Results",
        "results.event_rows": "read_events",
    },
)
