"""Frames in which zones of the picture, and faces, cannot be made out, for clips that are handed on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vad_pipeline.extract.decode.reader import PyavFrame
from vad_pipeline.extract.embed.polygons import inside
from vad_pipeline.extract.recipe import Polygon

from .faces import FindFaces

TILES = 16  # across a picture: a face as wide as a quarter of it is four
HELD_FRAMES = 15  # a face stays blurred so many frames before and after each one in which it is found
LOOKED_EVERY = 5  # frames: between them a face moves less than what is blurred around it


@dataclass(frozen=True, slots=True)
class Blur:
    """What cannot be made out in the frames of a video."""

    polygons: tuple[Polygon, ...] = ()
    find_faces: FindFaces | None = None
    """None: faces are shown."""

    @property
    def around(self) -> int:
        """How many frames before and after each one must be known, too."""
        return HELD_FRAMES if self.find_faces else 0

    def hidden_in(self, frames: Iterable[PyavFrame]) -> Iterator[BlurredFrame]:
        """The frames, in order, blurred; a face also in frames near those in which it is found: detectors flicker."""
        if not self.find_faces:
            yield from (BlurredFrame(frame, self.polygons) for frame in frames)
            return
        waiting: deque[PyavFrame] = deque()
        found: deque[tuple[int, Polygon]] = deque()  # frame, and a face in it
        done = 0

        def blurred() -> BlurredFrame:
            while found and found[0][0] < done - HELD_FRAMES:
                found.popleft()
            return BlurredFrame(waiting.popleft(), (*self.polygons, *(face for _, face in found)))

        for number, frame in enumerate(frames):
            waiting.append(frame)
            if number % LOOKED_EVERY == 0:
                found += [(number, face) for face in self.find_faces(frame.rgb())]
            if len(waiting) > HELD_FRAMES:
                yield blurred()
                done += 1
        while waiting:
            yield blurred()
            done += 1


@dataclass(frozen=True, slots=True)
class BlurredFrame:
    """A decoded frame whose zones are shown as coarse tiles; used as the frame itself is."""

    frame: PyavFrame
    polygons: tuple[Polygon, ...]

    def rgb(self, size: tuple[int, int] | None = None) -> np.ndarray:
        """As `PyavFrame.rgb`."""
        pixels = self.frame.rgb(size)
        return tiled(pixels, self.polygons) if self.polygons else pixels

    @property
    def size_px(self) -> tuple[int, int]:
        """As `PyavFrame.size_px`."""
        return self.frame.size_px


def tiled(pixels: np.ndarray, polygons: Sequence[Polygon]) -> np.ndarray:
    """A copy of a picture in which the polygons are coarse tiles, each of one colour.

    Args:
        pixels: (H, W, 3) uint8.
        polygons: corners (x, y) each, as shares of width and height.
    """
    height, width = pixels.shape[:2]
    coarse = Image.fromarray(pixels).resize((TILES, max(1, round(TILES * height / width))), Image.Resampling.BOX)
    coarse = np.asarray(coarse.resize((width, height), Image.Resampling.NEAREST))
    return np.where(inside(tuple(polygons), height, width)[..., None], coarse, pixels)
