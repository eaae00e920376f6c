"""timeline: mended timestamps, and the rate behind them."""

from fractions import Fraction

import numpy as np
import pytest

from vad_pipeline.extract.decode.timeline import FALLBACK_FPS, median_rate, timeline


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


def test_missing_rate_is_the_median_distance():
    assert median_rate(np.array([0, 0.04, 0.08, 0.5, 0.54])) == 25
    assert median_rate(np.array([0, 1001, 2002]) / 30000) == Fraction(30000, 1001)
    assert median_rate(np.array([1.0])) == FALLBACK_FPS
    assert median_rate(np.array([np.nan, np.nan])) == FALLBACK_FPS
