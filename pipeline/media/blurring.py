"""Frames in which zones of the picture cannot be made out, for clips that are handed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vad_pipeline.extract.decode.reader import PyavFrame
from vad_pipeline.extract.embed.polygons import inside
from vad_pipeline.extract.recipe import Polygon

TILES = 16  # across a picture: a face as wide as a quarter of it is four


@dataclass(frozen=True, slots=True)
class BlurredFrame:
    """A decoded frame whose zones are shown as coarse tiles; used as the frame itself is."""

    frame: PyavFrame
    polygons: tuple[Polygon, ...]

    def rgb(self, size: tuple[int, int] | None = None) -> np.ndarray:
        """As `PyavFrame.rgb`."""
        return tiled(self.frame.rgb(size), self.polygons)

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
