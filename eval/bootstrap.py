"""Confidence intervals: how far a figure moves when other videos of the same kind are tested.

Videos are drawn, not frames, for frames of one video are alike: a thousand frames of one fire say as much as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

N_RESAMPLES = 1000
INTERVAL = (2.5, 97.5)  # percentiles: 95%
SEED = 0


def video_draws(n_videos: int, *, n_resamples: int) -> Iterator[np.ndarray]:
    """How often each video is in each resample (V,) int64: V draws with replacement.

    Of three videos a resample might hold the first one twice and the third once: `[2, 0, 1]`. A figure is then computed
    as if the first video's frames were there twice and the second's not at all; a thousand such figures say how much it
    depends on which videos happened to be in the test set. The same number of videos always gives the same draws, so
    figures of two results can be paired, resample by resample.
    """
    rng = np.random.default_rng(SEED)
    for _ in range(n_resamples):
        yield np.bincount(rng.integers(n_videos, size=n_videos), minlength=n_videos)


def interval(values: np.ndarray | Sequence[float]) -> tuple[float, float] | None:
    """The middle 95% of a figure's values over all resamples, (low, high).

    Resamples in which the figure is undefined (NaN) are left out. None where it is undefined in all of them.
    """
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, INTERVAL)
    return float(low), float(high)
