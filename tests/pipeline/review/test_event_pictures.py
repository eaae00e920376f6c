"""What the wall gets of each video: rows, days, alarms at every threshold, and pictures that are made only once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vad_pipeline.model.curve import find_events
from vad_pipeline.pipeline.results.clock import day_of
from vad_pipeline.pipeline.results.event_rule import EventRule
from vad_pipeline.pipeline.results.file_names import key_of
from vad_pipeline.pipeline.results.marks import Marks
from vad_pipeline.pipeline.review.event_pictures import frames_of
from vad_pipeline.pipeline.review.wall_rows import alarms_at_each_threshold

from .test_gaps_on_page import CUTS, gapped_curve


@pytest.mark.parametrize("kind", CUTS)
def test_alarms_are_those_of_find_events_at_every_threshold(kind):
    curve = gapped_curve(kind)
    counts = alarms_at_each_threshold(curve, EventRule(0.5, merge_gap_seconds=1.0), Marks.of([]))
    assert counts.tolist() == [len(find_events(curve, threshold=step / 100)) for step in range(101)]


@pytest.mark.parametrize(
    ("video", "day"),
    [
        ("cam1/2026-11-02/08-30", "2026-11-02"),
        ("cam1_20261102_0830", "2026-11-02"),
        ("cam1/20261102083015", "2026-11-02"),
        ("2026/11/02/08", "2026-11-02"),
        ("12345678/2026.11.02", "2026-11-02"),
        ("20261332-20260228", "2026-02-28"),
        ("ucf/Arson009_x264", None),
        ("120261102", None),
        ("2026-11-2", None),
    ],
)
def test_the_day_that_an_id_shows(video, day):
    found = day_of(video, None)
    assert (found and found.isoformat()) == day


def test_frames_lie_in_the_event_and_hold_its_peak(curves):
    for event in find_events(curves["cam/plain"], threshold=0.3):
        frames = frames_of(event)
        assert event.peak_frame in frames and frames == sorted(set(frames)) and len(frames) <= 7
        assert event.start_frame <= frames[0] and frames[-1] < event.end_frame


def test_pictures_are_made_once_the_strongest_first_and_go_with_their_event(curves, make_report, tmp_path):
    def made() -> dict:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "results/report/events").rglob("*.js")}

    plain, gone = curves["cam/plain"], curves["cam/gone"]
    broken = replace(curves["cam/old"], source=str(tmp_path / "broken.avi"))
    (tmp_path / "broken.avi").write_bytes(b"no video")
    of_run = {"cam/plain": plain, "cam/gone": gone, "cam/old": broken}
    strongest = max(find_events(plain, threshold=0.5), key=lambda event: event.peak_score)
    make_report(tmp_path / "results", {"cam/plain": plain}, most_pictures=1)
    (first,) = made()
    assert first.name.startswith(f"{strongest.start_frame}-{strongest.end_frame}-{strongest.peak_frame}-")
    make_report(tmp_path / "results", of_run)  # footage that cannot be read or is gone costs no failure
    before = made()
    n_events = len(find_events(plain, threshold=0.5))
    assert first in before and sum(path.parent.name == key_of("cam/plain") for path in before) == n_events
    make_report(tmp_path / "results", of_run)
    assert made() == before
    higher = replace(plain, scores=np.where(plain.scores < 0.9, np.float32(0.1), plain.scores))
    make_report(tmp_path / "results", {"cam/plain": higher})
    kept = {path for path in made() if path.parent.name == key_of("cam/plain")}
    assert len(kept) == len(find_events(higher, threshold=0.5)) < n_events
