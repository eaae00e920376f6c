"""Methods side by side, each trained with several seeds: mean and spread of their figures, and how far they differ from
the first method's, paired over videos."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bootstrap import interval
from .evaluation import EvalResult

FIGURES = ("auc", "ap", "auc_anomalous", "map")
"""Figures of an `EvalResult` that have resamples."""


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """One figure of one method; fractions 0 to 1."""

    values: tuple[float | None, ...]
    """One for each seed; None where it is undefined."""
    mean: float | None
    """None where it is undefined for a seed."""
    std: float | None
    """Sample standard deviation over the seeds; None for a single one."""
    interval: tuple[float, float] | None
    """95% interval of the mean, from resampled videos; None without resamples."""
    difference: float | None
    """The mean less the first method's; None for the first one, or where that one has failed."""
    difference_interval: tuple[float, float] | None
    """95% interval of the difference: both means are taken of the same resampled videos each time."""


@dataclass(frozen=True, slots=True)
class ComparedMethod:
    """One method: a row of the table."""

    name: str
    seeds: tuple[int, ...]
    figures: dict[str, ComparedFigure]
    train_seconds: float | None
    """Mean over the seeds; None where it is not known of any."""
    n_parameters: int
    """Of the network that scores."""
    snippets_per_second: float | None
    """How fast it scored; None where it is not known."""


@dataclass(frozen=True, slots=True)
class FailedMethod:
    """A method without figures: a row of the table all the same."""

    name: str
    why: str


def compare_methods(
    methods: Sequence[Sequence[EvalResult]], *, with_difference: bool = True
) -> list[dict[str, ComparedFigure]]:
    """Compare methods with the first one.

    Args:
        methods: the results of each one's seeds, all of the same videos, with as many resamples.
        with_difference: False: tell no differences, as what they would be from has failed.

    Returns:
        For each method: figure -> what it comes to.

    Raises:
        ValueError: there are results of different videos.
    """
    if len({result.video_ids for results in methods for result in results}) > 1:
        raise ValueError("expected results of the same videos")
    compared = []
    for number, results in enumerate(methods):
        found = {}
        for name in FIGURES:
            own, first = _resamples(results, name), _resamples(methods[0], name)
            mean, of_first = mean_of(values := _values(results, name)), mean_of(_values(methods[0], name))
            differs = with_difference and number > 0 and mean is not None and of_first is not None
            found[name] = ComparedFigure(
                values=tuple(values),
                mean=mean,
                std=spread_of(values),
                interval=interval(own) if mean is not None else None,
                difference=mean - of_first if differs else None,
                difference_interval=interval(own - first) if differs else None,
            )
        compared.append(found)
    return compared


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean; None where any of the values is undefined."""
    return None if None in values else statistics.fmean(values)


def spread_of(values: Sequence[float | None]) -> float | None:
    """The sample standard deviation; None of a single value, or where any is undefined."""
    return statistics.stdev(values) if len(values) > 1 and None not in values else None


def _values(results: Sequence[EvalResult], name: str) -> list[float | None]:
    found = [getattr(result, name) for result in results]
    return [value and value["average"] for value in found] if name == "map" else found


def _resamples(results: Sequence[EvalResult], name: str) -> np.ndarray:
    """The mean over seeds in each resample, (resamples,): NaN where a seed's is undefined."""
    return np.mean([result.resamples[name] for result in results], axis=0)
