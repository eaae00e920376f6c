"""Which frames are in which snippet, and which of them are embedded: for a known number of frames and for a stream.

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
    """`k` evenly spread positions in a snippet of `length` frames, each once where the snippet is shorter than k.

    They are floor((2j + 1) length / (2k)) for j = 0..k-1: with k = 1 the middle frame, with k = length all frames.
    """
    return tuple(dict.fromkeys((2 * j + 1) * length // (2 * k) for j in range(k)))


def n_snippets(n_frames: int, recipe: Recipe) -> int:
    """How many snippets `n_frames` frames have under the recipe's tail rule."""
    if recipe.tail == "keep":
        return -(-n_frames // recipe.snippet_len)
    return max(n_frames // recipe.snippet_len, min(n_frames, 1))


def snippet_bounds(n_frames: int, recipe: Recipe) -> np.ndarray:
    """The half-open range of frames of each snippet, (n, 2) int64."""
    starts = np.arange(n_snippets(n_frames, recipe), dtype=np.int64) * recipe.snippet_len
    return np.stack([starts, np.minimum(starts + recipe.snippet_len, n_frames)], axis=1)


def snippet_seconds(frame_seconds: np.ndarray, fps: float, recipe: Recipe) -> np.ndarray:
    """Start and end of each snippet, (n, 2) seconds: from its first frame to the end of its last one.

    Args:
        frame_seconds: (F,), when each frame is shown, F at least 1.
        fps: average frame rate, frames/s, which gives the end of the last frame.
        recipe: says whether the tail is kept.
    """
    bounds = snippet_bounds(len(frame_seconds), recipe)
    ends = frame_ends(frame_seconds, find_gaps(frame_seconds), last_seconds=1 / fps)
    return np.stack([frame_seconds[bounds[:, 0]], ends[bounds[:, 1] - 1]], axis=1)


def sample_stream(frames: Iterable[Frame], recipe: Recipe) -> Iterator[list[Frame]]:
    """The sampled frames of each snippet, in order, from frames that arrive one by one.

    The frames of one snippet are in memory: which of them are sampled is known only when the snippet or the video ends.
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
