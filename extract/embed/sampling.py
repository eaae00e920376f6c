"""Which frames make which snippet: integer arithmetic, and its streaming form over a decoder of unknown length.

frames    0 ... 15 | 16 ... 31 | 32 ... 36        n_frames = 37, snippets of 16
tail keep     0    |     1     |     2            the last snippet is 5 frames long
tail drop     0    |     1     |     -            floor(37 / 16), but at least 1
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

from ..gaps import find_gaps, frame_ends
from ..recipe import Recipe

Frame = TypeVar("Frame")


def sample_positions(length: int, k: int) -> tuple[int, ...]:
    """The `k` evenly spread positions in a snippet of `length` frames, without repeats where it is shorter than k.

    floor((2j + 1) length / (2k)) for j = 0..k-1: k = 1 is the middle frame, k = length all of them.
    """
    return tuple(dict.fromkeys((2 * j + 1) * length // (2 * k) for j in range(k)))


def n_snippets(n_frames: int, recipe: Recipe) -> int:
    """How many snippets `n_frames` frames have under the recipe's tail rule."""
    if recipe.tail == "keep":
        return -(-n_frames // recipe.snippet_len)
    return max(n_frames // recipe.snippet_len, min(n_frames, 1))


def snippet_bounds(n_frames: int, recipe: Recipe) -> np.ndarray:
    """(n, 2) int64, the half-open frame range of each snippet."""
    starts = np.arange(n_snippets(n_frames, recipe), dtype=np.int64) * recipe.snippet_len
    return np.stack([starts, np.minimum(starts + recipe.snippet_len, n_frames)], axis=1)


def snippet_seconds(frame_seconds: np.ndarray, fps: float, recipe: Recipe) -> np.ndarray:
    """(n, 2) seconds from each snippet's first frame to the end of its last one.

    Args:
        frame_seconds: (F,), F at least 1.
        fps: average rate, for the end of the last frame.
        recipe: says what becomes of the tail.
    """
    bounds = snippet_bounds(len(frame_seconds), recipe)
    ends = frame_ends(frame_seconds, find_gaps(frame_seconds), last_seconds=1 / fps)
    return np.stack([frame_seconds[bounds[:, 0]], ends[bounds[:, 1] - 1]], axis=1)


def sample_stream(frames: Iterable[Frame], recipe: Recipe) -> Iterator[list[Frame]]:
    """The sampled frames of each snippet, in order, from frames that arrive one by one.

    At most one snippet's frames are in memory: which of them count is known only when the snippet, or the video, ends.
    """
    waiting: list[Frame] = []
    any_out = False
    for frame in frames:
        waiting.append(frame)
        if len(waiting) == recipe.snippet_len:
            yield [waiting[p] for p in sample_positions(len(waiting), recipe.frames_per_snippet)]
            waiting = []
            any_out = True
    if waiting and (recipe.tail == "keep" or not any_out):
        yield [waiting[p] for p in sample_positions(len(waiting), recipe.frames_per_snippet)]
