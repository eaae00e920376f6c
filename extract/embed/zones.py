"""Hides zones of frames before these are embedded: polygons in which nothing that happens is to count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..recipe import Polygon
from .polygons import inside

GREY = 117  # in the middle of what CLIP takes for an average picture: no edge is stronger than it must be


def hidden(pixels: np.ndarray | torch.Tensor, polygons: Sequence[Polygon]) -> np.ndarray | torch.Tensor:
    """A copy of a frame in which the polygons are grey; the frame itself where there are none.

    Args:
        pixels: (H, W, 3) uint8, as an array, or as a tensor on any device.
        polygons: corners (x, y) each, as shares of the frame's width and height.
    """
    if not polygons:
        return pixels
    mask = inside(tuple(polygons), *pixels.shape[:2])
    if isinstance(pixels, torch.Tensor):
        return pixels.masked_fill(torch.from_numpy(mask).to(pixels.device)[..., None], GREY)
    return np.where(mask[..., None], np.uint8(GREY), pixels)
