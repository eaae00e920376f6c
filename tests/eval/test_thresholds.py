"""False alarms and calibration against find_events itself."""

from dataclasses import replace

import numpy as np
import pytest

from vad_pipeline.eval.thresholds import calibrate_threshold, event_counts, false_alarms_per_hour, rate_bound
from vad_pipeline.model.curve import find_events


def drawn(make_curve, seed, *, n_videos=4, levels=12):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 60, n_videos)
    return [make_curve(f"v{i}", rng.integers(0, levels, n) / levels, fps=10) for i, n in enumerate(lengths)]


def gapped(curve, rng, *, n_gaps=2):
    """The same curve with gaps of 2.5 to 30 s before some of its frames."""
    seconds = curve.frame_seconds.copy()
    for frame in rng.integers(1, max(2, curve.n_frames), n_gaps):
        seconds[frame:] += rng.uniform(2.5, 30)
    return replace(curve, frame_seconds=seconds)


def n_events(curves, threshold, gap):
    return sum(len(find_events(curve, threshold=threshold, merge_gap_seconds=gap)) for curve in curves)


@pytest.mark.parametrize("gap", [0, 1, 1.6, 5, 1e9])
@pytest.mark.parametrize("seed", range(6))
def test_event_counts_are_those_of_find_events(make_curve, seed, gap):
    curves = drawn(make_curve, seed)
    scores, counts = event_counts(curves, merge_gap_seconds=gap)
    assert len(scores) == len(np.unique(np.concatenate([curve.scores for curve in curves])))
    assert counts.tolist() == [n_events(curves, float(score), gap) for score in scores]


@pytest.mark.parametrize("gap", [0, 1, 1.6, 5, 1e9])
@pytest.mark.parametrize("seed", range(6))
def test_event_counts_are_those_of_find_events_around_gaps(make_curve, seed, gap):
    rng = np.random.default_rng(seed)
    curves = [gapped(curve, rng) for curve in drawn(make_curve, seed)]
    assert sum(len(curve.gaps) for curve in curves) > 1
    scores, counts = event_counts(curves, merge_gap_seconds=gap)
    assert counts.tolist() == [n_events(curves, float(score), gap) for score in scores]


def test_gaps_are_no_footage(make_curve):
    """The same frames, the second half next to the first or a day later: as many false alarms an hour."""
    near = make_curve("a", [0.1, 0.9, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1], fps=10)
    far = replace(near, frame_seconds=near.frame_seconds + 86_400 * (np.arange(near.n_frames) >= near.n_frames // 2))
    (alarms, calibrated), (alarms_far, calibrated_far) = (
        (
            false_alarms_per_hour([curve], None, threshold=0.5, merge_gap_seconds=1),
            calibrate_threshold([curve], false_alarms_per_hour=400, merge_gap_seconds=1),
        )
        for curve in (near, far)
    )
    assert alarms_far == pytest.approx(alarms) == pytest.approx(2 * 3600 / 12.8)
    assert calibrated_far == pytest.approx(calibrated)


@pytest.mark.parametrize("budget", [0, 20, 60, 200, 1e9])
@pytest.mark.parametrize("seed", range(6))
def test_the_threshold_is_the_lowest_that_holds_from_there_on(make_curve, seed, budget):
    curves = drawn(make_curve, seed)
    hours = sum(curve.n_frames for curve in curves) / 10 / 3600
    threshold, rate = calibrate_threshold(curves, false_alarms_per_hour=budget, merge_gap_seconds=1)
    assert rate <= budget and threshold <= 1
    assert rate == pytest.approx(n_events(curves, threshold, 1) / hours)
    assert rate == pytest.approx(false_alarms_per_hour(curves, None, threshold=threshold, merge_gap_seconds=1))
    scores = np.unique(np.concatenate([curve.scores for curve in curves]))
    assert all(n_events(curves, float(score), 1) / hours <= budget for score in scores[scores >= threshold])
    lower = scores[scores < threshold]
    if len(lower):
        assert n_events(curves, float(lower[-1]), 1) / hours > budget


def test_no_budget_means_just_above_the_highest_score(make_curve):
    threshold, rate = calibrate_threshold([make_curve("a", [0.2, 0.6])], false_alarms_per_hour=0, merge_gap_seconds=1)
    assert np.float32(0.6) < np.float32(threshold) < 0.6001 and rate == 0


def test_the_threshold_is_never_above_one(make_curve):
    threshold, rate = calibrate_threshold([make_curve("a", [0.2, 1])], false_alarms_per_hour=0, merge_gap_seconds=1)
    assert threshold == 1 and rate == pytest.approx(3600 * 25 / 32)


def test_an_everlasting_event_is_not_taken_for_quiet(make_curve):
    """At the lowest score an hour-long video is one event: within a budget of one, but not at the scores above."""
    scores = np.tile([0.3, 0.3, 0.3, 0.6, 0.3, 0.3, 0.8, 0.3], 100)
    curve = make_curve("a", scores, fps=16 * 800 / 3600)
    threshold, rate = calibrate_threshold([curve], false_alarms_per_hour=1.5, merge_gap_seconds=1)
    assert threshold > 0.8 and rate == 0


def test_false_alarms_are_events_without_an_anomalous_frame(make_curve):
    curve = make_curve("a", [0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.9, 0.1], fps=10)  # events 0-16, 48-64, 96-112
    truth = np.zeros(curve.n_frames, bool)
    truth[63:90] = True  # one frame of the second
    rate = false_alarms_per_hour([curve], [truth], threshold=0.5, merge_gap_seconds=1)
    assert rate == pytest.approx(2 / ((128 - 27) / 10 / 3600))
    truth[:] = True
    assert false_alarms_per_hour([curve], [truth], threshold=0.5, merge_gap_seconds=1) is None


def test_calibration_needs_curves(make_curve):
    with pytest.raises(ValueError, match="expected curves"):
        calibrate_threshold([], false_alarms_per_hour=1, merge_gap_seconds=1)
    with pytest.raises(ValueError, match="budget"):
        calibrate_threshold([make_curve("a", [0.1])], false_alarms_per_hour=-1, merge_gap_seconds=1)


def test_the_example_of_event_counts(make_curve):
    scores, counts = event_counts([make_curve("v", [0.2, 0.8, 0.2, 0.5], snippet_len=1)], merge_gap_seconds=0)
    assert scores == pytest.approx([0.2, 0.5, 0.8]) and counts.tolist() == [1, 2, 1]


@pytest.mark.parametrize(("n", "mean"), [(0, 2.9957), (1, 4.7439), (5, 10.5130), (50, 63.2869)])  # Garwood's table
def test_the_bound_of_a_rate(n, mean):
    assert rate_bound(n, 2.0) == pytest.approx(mean / 2, rel=1e-4)
