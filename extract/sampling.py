"""Which frames make which snippet: integer arithmetic, and its streaming form over a decoder of unknown length.

frames    0 ... 15 | 16 ... 31 | 32 ... 36        n_frames = 37, snippets of 16
tail keep     0    |     1     |     2            the last snippet is 5 frames long
tail drop     0    |     1     |     -            floor(37 / 16), but at least 1
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .recipe import Recipe

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


@dataclass(frozen=True, slots=True, eq=False)
class SnippetGrid:
    """Frame indices of every snippet of one video."""

    frame_indices: np.ndarray
    """(n, K) int64, ascending; -1 fills a short snippet's row."""
    bounds: np.ndarray
    """(n, 2) int64, half-open frame range of each snippet."""
    n_frames: int
    snippet_len: int

    @classmethod
    def of(cls, n_frames: int, recipe: Recipe) -> SnippetGrid:
        """The grid of a video of `n_frames` frames."""
        starts = np.arange(n_snippets(n_frames, recipe), dtype=np.int64) * recipe.snippet_len
        bounds = np.stack([starts, np.minimum(starts + recipe.snippet_len, n_frames)], axis=1)
        indices = np.full((len(starts), recipe.frames_per_snippet), -1, np.int64)
        for row, (start, end) in zip(indices, bounds, strict=True):
            positions = sample_positions(int(end - start), recipe.frames_per_snippet)
            row[: len(positions)] = start + np.array(positions)
        return cls(indices, bounds, n_frames, recipe.snippet_len)

    def seconds(self, frame_seconds: np.ndarray, fps: float) -> np.ndarray:
        """(n, 2) seconds from each snippet's first frame to the frame after its last one."""
        ends = np.append(frame_seconds, frame_seconds[-1] + 1 / fps)
        return np.stack([frame_seconds[self.bounds[:, 0]], ends[self.bounds[:, 1]]], axis=1)


def sample_stream(frames: Iterable[Frame], recipe: Recipe) -> Iterator[list[Frame]]:
    """The sampled frames of each snippet, in order, from frames that arrive one by one.

    At most one snippet's frames are held: which of them count is known only when the snippet, or the video, ends.
    """
    held: list[Frame] = []
    any_out = False
    for frame in frames:
        held.append(frame)
        if len(held) == recipe.snippet_len:
            yield [held[p] for p in sample_positions(len(held), recipe.frames_per_snippet)]
            held = []
            any_out = True
    if held and (recipe.tail == "keep" or not any_out):
        yield [held[p] for p in sample_positions(len(held), recipe.frames_per_snippet)]
