"""Curves and events, against a plain loop."""

from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest

from vad_pipeline.model.curve import AnomalyCurve, Event, curve_from_scores, find_events
from vad_pipeline.model.scoring import SnippetScores

CATEGORIES = ("Normal", "Abuse", "Arson", "Riot")
FPS = Fraction(25)


def scores_of(anomaly, seed: int = 0) -> SnippetScores:
    anomaly = np.asarray(anomaly, np.float32)
    category = np.random.default_rng(seed).dirichlet(np.ones(len(CATEGORIES)), len(anomaly)).astype(np.float32)
    return SnippetScores(anomaly, category, CATEGORIES, 16)


def curve_of(anomaly, n_frames: int, *, seconds=None, seed: int = 0) -> AnomalyCurve:
    seconds = np.arange(n_frames) / 25 if seconds is None else seconds
    return curve_from_scores(scores_of(anomaly, seed), video_id="cam/a", frame_seconds=seconds, fps=FPS, source="a.mp4")


def frame_curve(frames, *, seconds=None) -> AnomalyCurve:
    """A curve of given frame scores: snippets of one frame."""
    frames = np.asarray(frames, np.float32)
    category = np.random.default_rng(1).dirichlet(np.ones(len(CATEGORIES)), len(frames)).astype(np.float32)
    seconds = np.arange(len(frames)) / 25 if seconds is None else seconds
    return AnomalyCurve("cam/a", frames, seconds, category, CATEGORIES, 1, FPS, "a.mp4")


def oracle(curve: AnomalyCurve, threshold: float, gap: float) -> list[dict]:
    """Frame by frame, no numpy tricks."""
    runs, n = [], curve.n_frames
    for frame in range(n):
        if curve.scores[frame] < np.float32(threshold):
            continue
        last_end = runs[-1][1] if runs else None
        if runs and (last_end == frame or round(curve.frame_seconds[frame] - curve.frame_seconds[last_end], 6) < gap):
            runs[-1][1] = frame + 1
        else:
            runs.append([frame, frame + 1])
    events = []
    for start, end in runs:
        means = [0.0] * len(CATEGORIES)
        peak = start
        for frame in range(start, end):
            row = min(frame // curve.snippet_len, len(curve.category) - 1)
            for c in range(len(CATEGORIES)):
                means[c] += float(curve.category[row, c]) / (end - start)
            if curve.scores[frame] > curve.scores[peak]:
                peak = frame
        best = max(range(1, len(CATEGORIES)), key=lambda c: means[c])
        end_seconds = curve.frame_seconds[end] if end < n else curve.frame_seconds[n - 1] + 1 / float(curve.fps)
        events.append(
            {
                "event_id": f"cam/a@{start}-{end}",
                "start_frame": start,
                "end_frame": end,
                "start_seconds": float(curve.frame_seconds[start]),
                "end_seconds": float(end_seconds),
                "category": CATEGORIES[best],
                "category_probability": pytest.approx(means[best]),
                "peak_score": float(curve.scores[peak]),
                "peak_frame": peak,
            }
        )
    return events


@pytest.mark.parametrize(
    ("n_frames", "n_snippets"),
    [(1, 1), (15, 1), (16, 1), (17, 1), (17, 2), (31, 1), (32, 2), (47, 2), (47, 3), (600, 37), (600, 38)],
)
def test_a_curve_has_exactly_n_frames_values(n_frames, n_snippets):
    anomaly = np.linspace(0.1, 0.9, n_snippets)
    curve = curve_of(anomaly, n_frames)
    expected = [np.float32(anomaly[min(frame // 16, n_snippets - 1)]) for frame in range(n_frames)]
    assert curve.scores.tolist() == expected and curve.scores.dtype == np.float32
    assert curve.n_frames == n_frames and repr(curve).startswith(f"AnomalyCurve('cam/a', scores=({n_frames},)")


@pytest.mark.parametrize(
    "change",
    [
        {"scores": np.zeros(0, np.float32)},
        {"frame_seconds": np.arange(31) / 25},
        {"frame_seconds": np.arange(32)[::-1] / 25},
        {"category": np.full((2, 3), 1 / 3)},
        {"category": np.full((5, 4), 0.25)},
        {"scores": np.full(32, 1.5)},
        {"scores": np.full(32, np.nan)},
        {"fps": Fraction(0)},
    ],
)
def test_a_curve_checks_itself(change):
    good = asdict(curve_of([0.5, 0.6], 32))
    del good["gaps"]  # they follow from the times
    AnomalyCurve(**good)
    with pytest.raises(ValueError, match="expected"):
        AnomalyCurve(**{**good, **change})


def test_snippets_that_do_not_fit_the_frames():
    with pytest.raises(ValueError, match="expected 2 or 3 snippets for 40 frames, got 7"):
        curve_of(np.full(7, 0.5), 40)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("gap", [0.0, 0.5, 1.0])
def test_events_against_a_plain_loop(seed, gap):
    rng = np.random.default_rng(seed)
    n_frames = int(rng.integers(1, 700))
    n_snippets = max(1, n_frames // 16) if seed % 2 else -(-n_frames // 16)
    # every third video has a variable rate; times are whole microseconds, as containers' are
    steps = rng.integers(1, 120_000, n_frames) if seed % 3 == 0 else np.full(n_frames, 40_000)
    curve = curve_of(rng.random(n_snippets).round(1), n_frames, seconds=np.cumsum(steps) / 1e6, seed=seed)
    for threshold in (0.0, 0.3, 0.5, 0.9, 1.0):
        found = find_events(curve, threshold=threshold, merge_gap_seconds=gap)
        assert [asdict(event) for event in found] == oracle(curve, threshold, gap)


def test_all_frames_or_none():
    curve = curve_of([0.5, 0.7, 0.7], 50)
    (event,) = find_events(curve, threshold=0.5)
    assert (event.start_frame, event.end_frame, event.peak_frame) == (0, 50, 16), "50 frames: the tail belongs to it"
    assert (event.start_seconds, event.end_seconds) == (0.0, pytest.approx(50 / 25))
    assert find_events(curve, threshold=0.71) == []
    assert find_events(curve, threshold=0.7)[0].start_frame == 16, "float32 scores reach a threshold of equal digits"


def test_one_frame():
    (event,) = find_events(curve_of([1.0], 1), threshold=0.5)
    assert (event.start_frame, event.end_frame, event.peak_score) == (0, 1, 1.0)
    assert event.end_seconds == pytest.approx(0.04)


@pytest.mark.parametrize("lead", [0, 1, 7, 30, 31, 57])
def test_runs_just_the_merge_gap_apart_stay_apart(lead):
    def events_with_gap(n_frames):
        return find_events(frame_curve([0.1] * lead + [0.9] * 3 + [0.1] * n_frames + [0.9] * 2), threshold=0.5)

    assert [(event.start_frame, event.end_frame) for event in events_with_gap(24)] == [(lead, lead + 29)]
    apart = events_with_gap(25)
    assert [(event.start_frame, event.end_frame) for event in apart] == [(lead, lead + 3), (lead + 28, lead + 30)]
    assert len({event.event_id for event in apart}) == 2


def test_the_gap_is_measured_in_seconds():
    frames = [0.9, 0.1, 0.9]
    assert len(find_events(frame_curve(frames, seconds=np.array([0.0, 0.04, 0.5])), threshold=0.5)) == 1
    assert len(find_events(frame_curve(frames, seconds=np.array([0.0, 0.04, 9.0])), threshold=0.5)) == 2


def test_what_is_no_event_or_setting():
    with pytest.raises(ValueError, match="expected a threshold and a gap"):
        find_events(curve_of([0.5], 16), threshold=float("nan"))
    with pytest.raises(ValueError, match="expected a threshold and a gap"):
        find_events(curve_of([0.5], 16), threshold=0.5, merge_gap_seconds=-1)
    with pytest.raises(ValueError, match="expected 0 <= start <= peak < end, got 5, 9, 9"):
        Event("a@5-9", 5, 9, 0.0, 1.0, "Abuse", 0.5, 0.9, 9)


def with_gap(frame: int, gap_seconds: float, n_frames: int) -> np.ndarray:
    """25 frames a second, and a gap before one of them."""
    seconds = np.arange(n_frames) / 25
    seconds[frame:] += gap_seconds
    return seconds


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        ([(20, 40)], [(20, 30, 1.2), (30, 40, None)]),  # across the gap
        ([(20, 30)], [(20, 30, 1.2)]),  # up to it
        ([(25, 29), (31, 35)], [(25, 29, 1.16), (31, 35, None)]),  # around it
        ([(30, 33)], [(30, 33, None)]),
    ],
)
def test_a_gap_is_never_inside_an_event(above, expected):
    scores = np.zeros(60)
    for start, end in above:
        scores[start:end] = 1
    curve = frame_curve(scores, seconds=with_gap(30, 3600, 60))
    found = find_events(curve, threshold=0.5, merge_gap_seconds=3)
    assert [(event.start_frame, event.end_frame) for event in found] == [(start, end) for start, end, _ in expected]
    for event, (_, end, seconds) in zip(found, expected, strict=True):
        assert event.end_seconds == pytest.approx(seconds if seconds else 3600 + end / 25)
    assert curve.footage_seconds == pytest.approx(60 / 25)


def test_a_gap_shorter_than_the_merge_gap_is_bridged():
    curve = frame_curve(np.r_[np.zeros(10), np.ones(30), np.zeros(10)], seconds=with_gap(25, 4, 50))
    assert [gap.seconds for gap in curve.gaps] == [pytest.approx(4)]
    for merge_gap, n in ((4.1, 1), (4.0, 2), (1.0, 2)):
        assert len(find_events(curve, threshold=0.5, merge_gap_seconds=merge_gap)) == n
