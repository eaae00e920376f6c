"""Polygons on pictures, as masks of pixels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from ..recipe import Polygon


@lru_cache(maxsize=16)
def inside(polygons: tuple[Polygon, ...], height: int, width: int) -> np.ndarray:
    """(height, width) bool: which pixels of a picture lie in a polygon, its edge included.

    Args:
        polygons: corners (x, y) each, as shares of the picture's width and height.
        height: in px.
        width: in px.
    """
    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    for polygon in polygons:
        draw.polygon([(x * width - 0.5, y * height - 0.5) for x, y in polygon], fill=1, outline=1)
    return np.asarray(image).copy()
