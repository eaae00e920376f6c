"""What a delay costs: when an event is told, and at which threshold."""

from fractions import Fraction

import numpy as np
import pytest

from vad_pipeline.eval.annotation import TrueRange, VideoAnnotation
from vad_pipeline.eval.delay_cost import alarm_waits, delay_cost, delay_table, normal_hours
from vad_pipeline.eval.evaluation import evaluate
from vad_pipeline.eval.truth import lay_over
from vad_pipeline.model.curve import AnomalyCurve


def curve(name, scores, *, n_frames=None):
    """Snippets of 16 frames at 16 frames/s: of a second each."""
    scores = np.asarray(scores, np.float32)
    category = np.stack([1 - scores, scores], axis=1)
    frames = np.repeat(scores, 16)
    frames = frames if n_frames is None else np.append(frames, np.repeat(scores[-1:], n_frames - len(frames)))
    seconds = np.arange(len(frames)) / 16
    return AnomalyCurve(name, frames, seconds, category, ("Normal", "Fire"), 16, Fraction(16), "drawn")


def truth(name, *ranges):
    return VideoAnnotation(name, ("Fire",) if ranges else (), tuple(TrueRange(*each, "Fire") for each in ranges))


SCORES = [0.1, 0.1, 0.7, 0.9, 0.2, 0.1, 0.1]


@pytest.mark.parametrize(
    ("delay", "wait"), [(0, 0.5), (1, 1.5), (2, 2.5), (4, 4.5), (5, 4.75), (9, 4.75), (None, 4.75)]
)
def test_an_event_is_told_once_the_snippets_it_waits_for_are_there(delay, wait):
    video = lay_over(truth("a", (40, 64)), curve("a", SCORES, n_frames=116), "corrected")
    assert alarm_waits(video, 0.5, delay) == [wait]
    assert alarm_waits(video, 0.95, delay) == [np.inf]


def test_stretches_that_touch_or_overlap_are_one_event():
    video = lay_over(truth("a", (0, 16), (10, 20), (20, 30), (80, 500)), curve("a", SCORES), "corrected")
    assert alarm_waits(video, 0.1, 0) == [1, 1]


def test_figures_of_a_delay():
    normal = curve("n", [0.1, 0.6, 0.2])
    found = delay_cost([curve("a", SCORES), normal], [truth("a", (40, 64)), truth("n")], delay=2)
    assert found.threshold == np.nextafter(np.float32(0.6), np.float32(1)), "an event would be 1200 an hour"
    assert (found.n_events, found.n_told, found.median_seconds, found.delay_seconds) == (1, 1, 2.5, 2)
    result = evaluate([curve("a", SCORES), normal], [truth("a", (40, 64)), truth("n")])
    assert (found.auc, found.ap) == (result.auc, result.ap)
    assert normal_hours([curve("a", SCORES), normal], [truth("a", (40, 64)), truth("n")]) == pytest.approx(3 / 3600)
    whole = delay_cost([curve("a", SCORES), normal], [truth("a", (40, 64)), truth("n")], delay=None)
    assert (whole.median_seconds, whole.delay_seconds, whole.n_told) == (None, None, 1)
    rows = delay_table([found, whole]).splitlines()
    figures = f"{100 * found.auc:.2f} {100 * found.ap:.2f}"
    assert " ".join(rows[1].split()) == f"2 2.00 {figures} 0.6000 1 of 1 2.50"
    assert rows[2].split()[0] == "offline" and rows[2].endswith("at its end")


def test_what_is_never_told_counts_as_never_and_without_normal_videos_nothing_is_known():
    videos = [curve("a", SCORES), curve("b", [0.1] * 3), curve("n", [0.95, 0.1])]
    annotations = [truth("a", (40, 64)), truth("b", (0, 20)), truth("n")]
    found = delay_cost(videos, annotations, delay=0)
    assert (found.n_told, found.median_seconds) == (0, None) and "never" in delay_table([found])
    alone = delay_cost(videos[:2], annotations[:2], delay=0)
    assert (alone.threshold, alone.n_told, alone.median_seconds) == (None, None, None)
    assert delay_table([alone]).splitlines()[1].split()[4:] == ["undefined", "undefined", "undefined"]
