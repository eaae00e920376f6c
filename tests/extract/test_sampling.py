"""Sampling against the contract's formula, in plain loops."""

from dataclasses import replace

import numpy as np
import pytest

from vad_pipeline.extract.embed.sampling import (
    n_snippets,
    sample_positions,
    sample_stream,
    snippet_bounds,
    snippet_seconds,
)
from vad_pipeline.extract.recipe import Recipe


@pytest.mark.parametrize("length", range(1, 17))
@pytest.mark.parametrize("k", [1, 2, 3, 5, 8, 16])
def test_positions_follow_the_contract(length, k):
    expected = []
    for j in range(k):
        position = (2 * j + 1) * length // (2 * k)
        if position not in expected:
            expected.append(position)
    assert list(sample_positions(length, k)) == expected
    assert all(0 <= p < length for p in expected)


def test_middle_and_all():
    assert sample_positions(16, 1) == (8,)
    assert sample_positions(16, 16) == tuple(range(16))


@pytest.mark.parametrize(
    ("n_frames", "keep", "drop"), [(0, 0, 0), (1, 1, 1), (15, 1, 1), (16, 1, 1), (17, 2, 1), (32, 2, 2)]
)
def test_tails(n_frames, keep, drop):
    assert n_snippets(n_frames, Recipe(tail="keep")) == keep
    assert n_snippets(n_frames, Recipe(tail="drop")) == drop


@pytest.mark.parametrize("tail", ["keep", "drop"])
@pytest.mark.parametrize("k", [1, 3, 16])
@pytest.mark.parametrize("n_frames", [1, 7, 16, 17, 31, 40, 48])
def test_stream_and_bounds_agree(tail, k, n_frames):
    recipe = replace(Recipe(), tail=tail, frames_per_snippet=k)
    bounds = snippet_bounds(n_frames, recipe).tolist()
    rows = [[start + p for p in sample_positions(end - start, k)] for start, end in bounds]
    assert list(sample_stream(iter(range(n_frames)), recipe)) == rows
    assert len(rows) == n_snippets(n_frames, recipe)
    assert all(row == sorted(set(row)) for row in rows)


def test_snippet_seconds_reach_to_the_next_frame():
    seconds = snippet_seconds(np.arange(20) / 10, 10.0, Recipe(tail="keep"))
    np.testing.assert_allclose(seconds, [[0, 1.6], [1.6, 2.0]])


def test_no_frames_no_snippets():
    assert list(sample_stream(iter([]), Recipe())) == []
