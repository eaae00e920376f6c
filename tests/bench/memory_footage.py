"""Footage that is never a file: frames from memory, as a reader gives them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from vad_pipeline.extract.records import VideoInfo

SIZE = (240, 320)


class Footage:
    """Frames from memory, as a reader gives them."""

    path = "footage"

    def __init__(self, frames):
        self.frames = frames

    def __iter__(self):
        for frame in self.frames:
            yield _Given(frame)

    def info(self):
        n = len(self.frames)
        height, width = self.frames[0].shape[:2]
        seconds = np.arange(n) / 25
        return VideoInfo("footage", n, n, Fraction(25), width, height, seconds, 0, 0, (), "memory")

    def close(self):
        pass


class _Given:
    def __init__(self, pixels):
        self._pixels = pixels

    def rgb(self):
        return self._pixels


def scene(seed: int = 0, size=SIZE) -> np.ndarray:
    """A picture with detail everywhere, far from black and white."""
    return np.random.default_rng(seed).integers(60, 190, (*size, 3)).astype(np.uint8)


def with_square(picture: np.ndarray, left: int, side: int = 16) -> np.ndarray:
    picture = picture.copy()
    picture[100 : 100 + side, left : left + side] = 255
    return picture
