"""Finds faces in pictures by the detectors that OpenCV 4 brings along, for clips that are handed on.

They are small and old: they know upright faces from the front and, less well, from the side. docs/review.md says what
they miss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vad_pipeline.extract.errors import ConfigError, how_to_add
from vad_pipeline.extract.recipe import Polygon

FindFaces = Callable[[np.ndarray], Sequence[Polygon]]
"""(H, W, 3) uint8 -> the polygons of the faces in it."""

FRONT, SIDE = "haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml"
LARGEST_PX = 1280  # pictures with longer sides are searched at this size
SMALLEST_PX = 20  # of a face: that is how small the detectors were trained
STEP, NEIGHBOURS = 1.1, 3  # from one size of faces to the next; hits around a face that it takes
GROWN = 0.25  # of a face's side, on each side: hair and chin, and what it moves until the next look


def opencv_faces() -> FindFaces:
    """Load the detectors.

    Raises:
        ConfigError: OpenCV is not installed, or is one without them.
    """
    try:
        import cv2
    except ImportError as error:
        raise ConfigError(f"--blur faces needs OpenCV 4: {how_to_add('blur')}") from error
    folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
    if not hasattr(cv2, "CascadeClassifier"):  # OpenCV 5 has given them up
        raise ConfigError(f"--blur faces: OpenCV {cv2.__version__} has no face detectors: {how_to_add('blur')}")
    front, side = (cv2.CascadeClassifier(folder + name) for name in (FRONT, SIDE))
    if front.empty() or side.empty():
        raise ConfigError(f"--blur faces: OpenCV {cv2.__version__} lacks {FRONT}: {how_to_add('blur')}")

    def boxes(detector, grey: np.ndarray) -> list[tuple[float, ...]]:
        found = detector.detectMultiScale(grey, STEP, NEIGHBOURS, minSize=(SMALLEST_PX, SMALLEST_PX))
        return [tuple(map(float, box)) for box in found]

    def find(pixels: np.ndarray) -> list[Polygon]:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        if max(grey.shape) > LARGEST_PX:
            factor = LARGEST_PX / max(grey.shape)
            grey = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        height, width = grey.shape
        mirrored = boxes(side, cv2.flip(grey, 1))  # it knows faces that look to one side only
        found = [*boxes(front, grey), *boxes(side, grey), *((width - x - w, y, w, h) for x, y, w, h in mirrored)]
        return [grown(x / width, y / height, w / width, h / height) for x, y, w, h in found]

    return find


def grown(x: float, y: float, width: float, height: float) -> Polygon:
    """A box in shares of the picture, larger by `GROWN` on each side, as a polygon inside the picture."""
    left, right = max(0.0, x - GROWN * width), min(1.0, x + (1 + GROWN) * width)
    top, bottom = max(0.0, y - GROWN * height), min(1.0, y + (1 + GROWN) * height)
    return (left, top), (right, top), (right, bottom), (left, bottom)
