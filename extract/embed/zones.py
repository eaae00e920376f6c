"""Hides zones of frames before these are embedded: polygons in which nothing that happens is to count."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw

from ..recipe import Polygon

GREY = 117  # in the middle of what CLIP takes for an average picture: no edge is stronger than it must be


def hidden(pixels: np.ndarray | torch.Tensor, polygons: Sequence[Polygon]) -> np.ndarray | torch.Tensor:
    """A copy of a frame in which the polygons are grey; the frame itself where there are none.

    Args:
        pixels: (H, W, 3) uint8, as an array, or as a tensor on any device.
        polygons: corners (x, y) each, as shares of the frame's width and height.
    """
    if not polygons:
        return pixels
    inside = _inside(tuple(polygons), *pixels.shape[:2])
    if isinstance(pixels, torch.Tensor):
        return pixels.masked_fill(torch.from_numpy(inside).to(pixels.device)[..., None], GREY)
    return np.where(inside[..., None], np.uint8(GREY), pixels)


@lru_cache(maxsize=8)
def _inside(polygons: tuple[Polygon, ...], height: int, width: int) -> np.ndarray:
    """(height, width) bool: which pixels lie in a polygon, its edge included."""
    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    for polygon in polygons:
        draw.polygon([(x * width - 0.5, y * height - 0.5) for x, y in polygon], fill=1, outline=1)
    return np.asarray(image).copy()
