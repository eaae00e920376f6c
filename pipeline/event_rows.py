"""events.jsonl: one event a line."""

from __future__ import annotations

from dataclasses import asdict

from vad_pipeline.model.curve import Event

from .clock import ClockReading

EVENTS_NAME = "events.jsonl"


def event_row(video_id: str, event: Event, reading: ClockReading | None) -> dict:
    """A line of events.jsonl, its names in the contract's order.

    Args:
        video_id: of the event's video.
        event: the event.
        reading: what the id says of the time; None: the wall clock is not known.
    """
    values = asdict(event)
    row = {"event_id": values.pop("event_id"), "video": video_id}
    row |= {name: values.pop(name) for name in ("start_frame", "end_frame", "start_seconds", "end_seconds")}
    row |= {
        "start_time": reading and reading.text_at(event.start_seconds),
        "end_time": reading and reading.text_at(event.end_seconds),
    }
    return row | values
