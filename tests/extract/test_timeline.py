"""timeline: mended timestamps, and the rate behind them."""

from fractions import Fraction

import numpy as np
import pytest

from vad_pipeline.extract.decode.timeline import FALLBACK_FPS, in_shown_order, median_rate, timeline
from vad_pipeline.extract.gaps import find_gaps


def test_good_timestamps_pass_untouched():
    raw = np.array([0.0, 0.033, 0.3, 0.31])
    seconds, fps, retimed = timeline(raw, Fraction(30000, 1001))
    assert seconds.tolist() == raw.tolist() and fps == Fraction(30000, 1001) and retimed == 0


@pytest.mark.parametrize(
    ("raw", "expected", "retimed"),
    [
        ([0, 1, 1, 2], [0, 1, 1.5, 2], 1),  # stands still
        ([0, 1, 0.2, 0.7, 1.2, 3], [0, 1, 1.5, 2, 2.5, 3], 3),  # jumps back
        ([np.nan, 0.5, np.nan], [0, 0.5, 1], 2),  # missing
        ([-0.2, -0.2], [-0.2, 0.3], 1),
    ],
)
def test_bad_timestamps_follow_the_previous_frame(raw, expected, retimed):
    seconds, _, count = timeline(np.array(raw, float), Fraction(2))
    np.testing.assert_allclose(seconds, expected)
    assert count == retimed and (np.diff(seconds) > 0).all()


def steady(n, *, start=0.0, fps=25):
    return start + np.arange(n) / fps


@pytest.mark.parametrize("at", [0, 1, 30, 58])
@pytest.mark.parametrize("late", [0.9, 70.0, 47_721.0])
@pytest.mark.parametrize("n_late", [1, 3])
def test_a_late_stamp_that_the_next_ones_contradict_moves_no_other(at, late, n_late):
    """Sixty frames a fifteenth apart, one or three of them late."""
    raw = right = steady(60, fps=15)
    raw = raw.copy()
    n_late = min(n_late, 59 - at) if at else 1
    raw[at : at + n_late] += late
    seconds, fps, retimed = timeline(raw, Fraction(15))
    np.testing.assert_allclose(seconds, right, atol=1e-9)
    assert retimed == n_late and fps == 15 and not find_gaps(seconds)


def test_a_leap_that_lasts_is_kept():
    raw = np.r_[steady(40), steady(40, start=47_721.86)]
    seconds, fps, retimed = timeline(raw, Fraction(25))
    assert seconds.tolist() == raw.tolist() and fps == 25 and retimed == 0
    (gap,) = find_gaps(seconds)
    assert gap.frame == 40 and gap.end_seconds == 47_721.86


def test_a_leap_that_lasts_is_kept_beside_wrong_stamps():
    raw = np.r_[steady(40), steady(40, start=500.0)]
    raw[[10, 20, 60]] = np.nan, raw[20] + 9, raw[60] - 30
    seconds, _, retimed = timeline(raw, Fraction(25))
    np.testing.assert_allclose(seconds, np.r_[steady(40), steady(40, start=500.0)])
    assert retimed == 3 and [gap.frame for gap in find_gaps(seconds)] == [40]


def test_a_rate_that_is_spread_over_a_gap_is_the_rate_of_the_footage():
    raw = np.r_[steady(100, fps=20), steady(100, start=10_000, fps=20)]
    assert timeline(raw, Fraction(200, 10_005))[1] == 20
    uneven = np.cumsum(np.tile([0.05, 0.1], 100))
    assert timeline(uneven, Fraction(9))[1] == 9


def test_variable_rates_are_the_files_own():
    """Steps of up to nine frames, and one stamp that stands still: nothing else is touched."""
    raw = np.cumsum(np.random.default_rng(0).integers(1, 10, 300)) / 25
    raw[100] = raw[99]
    seconds, _, retimed = timeline(raw, Fraction(5))
    assert retimed == 1 and np.flatnonzero(seconds != raw).tolist() == [100]


def test_missing_rate_is_the_median_distance():
    assert median_rate(np.array([0, 0.04, 0.08, 0.5, 0.54])) == 25
    assert median_rate(np.array([0, 1001, 2002]) / 30000) == Fraction(30000, 1001)
    assert median_rate(np.array([1.0])) == FALLBACK_FPS
    assert median_rate(np.array([np.nan, np.nan])) == FALLBACK_FPS


def test_packets_in_the_order_in_which_they_are_shown():
    reordered = np.array([0, 3, 1, 2, 6, 4, 5]) / 25
    assert in_shown_order(reordered).tolist() == sorted(reordered)
    late = steady(200)
    late[50] += 100
    assert in_shown_order(late).tolist() == late.tolist()
