"""Gaps: leaps that last and stand out; time-lapse and variable rates have none."""

import numpy as np
import pytest

from vad_pipeline.extract.gaps import find_gaps, frame_ends, in_words, spans


def every(step: float, n: int, *, start: float = 0.0) -> np.ndarray:
    return start + step * np.arange(n)


def test_a_leap_that_lasts_is_a_gap():
    seconds = np.r_[every(0.04, 50), every(0.04, 50, start=902.0)]
    (gap,) = find_gaps(seconds)
    assert gap.frame == 50 and spans([gap]) == [(2.0, 902.0)] and gap.seconds == pytest.approx(900)
    assert in_words(gap) == "0:00:02.0 for 0:15:00"
    ends = frame_ends(seconds, [gap], last_seconds=0.5)
    assert ends[49] == pytest.approx(2.0) and ends[50] == seconds[51] and ends[-1] == seconds[-1] + 0.5
    assert (ends - seconds).sum() == pytest.approx(100 * 0.04 + 0.46)


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [
        (every(10, 40), []),  # time-lapse
        (np.r_[every(0.04, 30), every(5, 30, start=6)], []),  # a recorder that slows down while nothing moves
        (np.r_[every(1, 20), every(1, 20, start=28)], []),  # nine frames missing of one a second
        (np.r_[every(1, 20), every(1, 20, start=31)], [20]),
        (np.r_[every(0.1, 20), every(0.1, 20, start=3.8)], []),  # under two seconds
        (np.concatenate([every(0.04, 5, start=60 * i) for i in range(4)]), [5, 10, 15]),  # bursts when something moves
        (np.array([0.0, 500.0]), []),  # of two frames nobody knows what is usual
        (np.array([3.0]), []),
        (np.r_[every(0.04, 30), 100.0], [30]),
    ],
)
def test_what_stands_out_among_its_neighbours(seconds, frames):
    assert [gap.frame for gap in find_gaps(seconds)] == frames
