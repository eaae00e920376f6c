"""What the page gets of a curve is enough for the very events of find_events, at any threshold."""

from __future__ import annotations

import base64
import json
import zlib
from fractions import Fraction

import numpy as np
import pytest

from vad_pipeline.model.curve import AnomalyCurve, find_events
from vad_pipeline.pipeline.review.event_tree import cells_of, completed_events, event_table
from vad_pipeline.pipeline.review.packing import packed_curve

N_CURVES = 60
TYPES = {"f4": np.float32, "f8": np.float64, "u1": np.uint8, "u4": np.uint32}


def some_curve(seed: int) -> AnomalyCurve:
    """Any length, kept or dropped tail, scores by snippet or by frame, few levels or many, uneven times."""
    rng = np.random.default_rng(seed)
    n_frames, n_categories = int(rng.integers(1, 600)), int(rng.integers(2, 7))
    n = -(-n_frames // 16) if rng.random() < 0.5 else max(1, n_frames // 16)
    levels = rng.choice([3, 20, 1000])
    of_snippet = np.minimum(np.arange(n_frames) // 16, n - 1)
    scores = rng.integers(0, levels + 1, n)[of_snippet] if rng.random() < 0.7 else rng.integers(0, levels + 1, n_frames)
    category = rng.random((n, n_categories)).astype(np.float32)
    if rng.random() < 0.3:
        category = np.round(category, 1)  # ties
    seconds = np.cumsum(rng.choice([0.01, 0.04, 0.3], n_frames))
    if rng.random() < 0.4:  # gaps, some of them inside snippets
        seconds += np.cumsum(rng.choice([0, rng.choice([4, 5e4])], n_frames, p=[0.99, 0.01]))
    names = tuple("NABCDEF"[:n_categories])
    return AnomalyCurve(
        "v", (scores / levels).astype(np.float32), seconds, category, names, 16, Fraction(25), "nowhere.mp4"
    )


@pytest.mark.parametrize("gap", [0, 0.5, 1.0, 5.0])
def test_the_lowest_cell_of_an_event_says_its_category(gap):
    n_events = 0
    for seed in range(N_CURVES):
        curve = some_curve(seed)
        cells = cells_of(curve)
        edges = cells.edges(curve.n_frames)
        table = event_table(curve, cells, merge_gap_seconds=gap)
        for threshold in (0, 0.1, 1 / 3, 0.5, 0.777, 1):
            for event in find_events(curve, threshold=threshold, merge_gap_seconds=gap):
                first, after = np.searchsorted(edges, [event.start_frame, event.end_frame])
                inside = cells.scores[first:after]
                lowest = first + np.where(inside >= np.float32(threshold), inside, 2).argmin()
                assert curve.categories[table.column[lowest]] == event.category
                assert table.probability[lowest] == pytest.approx(event.category_probability, abs=1e-9)
                n_events += 1
    assert n_events > 300


def test_the_example_of_the_table():
    first, last = completed_events(np.array([0.2, 0.9, 0.5, 0.1, 0.7]), np.arange(5.0), np.arange(1.0, 6.0), 1.5)
    assert list(zip(first, last, strict=True)) == [(0, 4), (1, 1), (1, 4), (0, 4), (4, 4)]


def unpacked(packed: dict) -> dict[str, np.ndarray]:
    """As curve.js does it."""
    data, start, arrays = zlib.decompress(base64.b64decode(packed["packed"])), 0, {}
    for name, kind, length in packed["layout"]:
        end = start + length * np.dtype(TYPES[kind]).itemsize
        arrays[name] = np.frombuffer(data[start:end], TYPES[kind])
        start = end
    assert start == len(data)
    return arrays


def seconds_of(packed: dict, arrays: dict[str, np.ndarray]) -> np.ndarray:
    times = packed["times"]
    if times["kind"] == "seconds":
        return arrays["seconds"]
    if times["kind"] == "rate":
        return np.arange(packed["frames"]) * packed["fps"][1] / packed["fps"][0]
    steps = arrays["steps"].astype(np.int64)
    for place, step in times["jumps"]:
        steps[place] = step
    return np.concatenate([[times["first"]], times["first"] + np.cumsum(steps)]) / 1e9


def with_times(seconds: np.ndarray, fps: Fraction) -> AnomalyCurve:
    n = len(seconds)
    scores = np.linspace(0, 1, n).astype(np.float32)
    return AnomalyCurve("v", scores, seconds, np.full((-(-n // 16), 2), 0.5, np.float32), ("N", "A"), 16, fps, "x")


@pytest.mark.parametrize(
    ("seconds", "fps", "kind"),
    [
        (np.arange(500) / 25, Fraction(25), "rate"),
        (np.array([float(i * Fraction(1001, 30000)) for i in range(500)]), Fraction(30000, 1001), "rate"),
        (np.arange(500) / 25 + 0.066, Fraction(25), "steps"),
        (np.cumsum(np.random.default_rng(0).choice([0.03, 0.04, 0.05], 500)), Fraction(25), "steps"),
        (np.r_[np.arange(100) / 25, 3600 + np.arange(100) / 25], Fraction(25), "steps"),  # a camera that waits
        (np.array([0.0, 1 - 1e-6 - 3e-10, 2.5]), Fraction(1), "seconds"),  # the merge gap itself, to the nanosecond
    ],
)
def test_times_come_out_as_they_went_in(seconds, fps, kind):
    packed = packed_curve(with_times(seconds, fps), merge_gap_seconds=1.0)
    assert packed["times"]["kind"] == kind
    again = seconds_of(packed, unpacked(packed))
    if kind == "steps":
        np.testing.assert_allclose(again, seconds, atol=6e-10, rtol=0)
    else:
        assert np.array_equal(again, seconds)


def test_scores_are_kept_to_the_bit_and_by_snippet():
    curve = with_times(np.arange(500) / 25, Fraction(25))
    by_frame = unpacked(packed_curve(curve, merge_gap_seconds=1.0))
    assert np.array_equal(by_frame["scores"], curve.scores)
    snippet = curve.scores[np.arange(500) // 16 * 16]
    steps = AnomalyCurve("v", snippet, curve.frame_seconds, curve.category, ("N", "A"), 16, Fraction(25), "x")
    packed = packed_curve(steps, merge_gap_seconds=1.0)
    assert packed["cellFrames"] == 16 and np.array_equal(unpacked(packed)["scores"], snippet[::16])


def test_a_day_of_footage_weighs_under_two_megabytes():
    rng = np.random.default_rng(0)
    n_frames = 24 * 3600 * 30
    n = n_frames // 16
    category = rng.random((n, 14), np.float32)
    curve = AnomalyCurve(
        "day",
        np.repeat(rng.random(n, np.float32), 16),  # as many different values as there can be
        np.arange(n_frames) / 30,
        category / category.sum(axis=1, keepdims=True),
        tuple("NABCDEFGHIJKLM"),
        16,
        Fraction(30),
        "x",
    )
    assert len(json.dumps(packed_curve(curve, merge_gap_seconds=1.0))) < 2_000_000
