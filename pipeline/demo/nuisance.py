"""What is harmless and looks like an anomaly: a lorry that reverses with flashing beacons; headlights over a wall.

Lengths are in picture heights: x runs over 0..4/3, y downwards over 0..1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .cameras import Camera
from .picture import MIDDLE, WIDE, Picture

FLASH_SECONDS, LIT_SECONDS = 0.9, 0.6  # a beacon's period, and how much of it it shines
AMBER = (1.0, 0.5, 0.08)
BODY, CAB, GLASS, TYRE = (0.72, 0.72, 0.68), (0.75, 0.45, 0.08), (0.1, 0.13, 0.16), (0.06, 0.06, 0.07)


@dataclass(frozen=True, slots=True)
class Lorry:
    """A works lorry backs into the picture between the lanes, stands there, and drives off; its beacons flash."""

    begin: float
    end: float
    """Seconds of the video in which its beacons flash."""
    camera: Camera

    def actors(self, p: Picture, t: float) -> list[tuple[float, Callable[..., None], tuple]]:
        """What is drawn of it at a time, as shot.py takes it: the y it stands at, a function, its arguments."""
        y = sum(self.camera.lanes) / len(self.camera.lanes)
        return [(y, _lorry, (p, *self._place(t)))] if self.begin <= t < self.end else []

    def _place(self, t: float) -> tuple[float, float, float]:
        """x and y of its wheels, and the length of a metre there."""
        y = sum(self.camera.lanes) / len(self.camera.lanes)
        share = (t - self.begin) / (self.end - self.begin)
        x = float(np.interp(share, (0, 0.3, 0.8, 1), (WIDE, MIDDLE, MIDDLE, WIDE)))
        return x, y, self.camera.metre(y)

    def shine_on(self, p: Picture, lit: np.ndarray, t: float) -> None:
        """Add the beacons, and their light on what is around."""
        if not self.begin <= t < self.end or (t - self.begin) % FLASH_SECONDS >= LIT_SECONDS:
            return
        x, y, m = self._place(t)
        for along in (-3.4, 3.0):
            p.spot(p.shine, AMBER, x + along * m, y - 3.3 * m, 1.3 * m, 1.1 * m)
        p.spot(lit, np.multiply(AMBER, 1.1), x, y - 2.5 * m, 0.8, 0.7)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Headlights of a car that turns somewhere outside sweep over the picture, to and fro."""

    begin: float
    end: float
    """Seconds of the video in which they do."""

    def actors(self, p: Picture, t: float) -> list:
        """Nothing is drawn of the car itself."""
        return []

    def shine_on(self, p: Picture, lit: np.ndarray, t: float) -> None:
        """Add the two cones of light."""
        if not self.begin <= t < self.end:
            return
        share = (t - self.begin) / (self.end - self.begin)
        x = MIDDLE + 0.6 * float(np.sin(4 * np.pi * share))
        for aside in (-0.14, 0.14):
            p.spot(lit, (1.3, 1.15, 0.75), x + aside, 0.4, 0.34, 0.42)
            p.spot(p.shine, (0.45, 0.4, 0.25), x + aside, 0.4, 0.2, 0.26)


def _lorry(p: Picture, x: float, y: float, m: float) -> None:
    """Draw it from the side with its wheels at (x, y), its back to the left; `m` is the length of a metre."""
    p.spot(p.albedo, (-0.3, -0.3, -0.28), x, y, 5 * m, 0.5 * m)
    p.fill(BODY, (x - 4 * m, y - 3.1 * m, x + 1.8 * m, y - 0.7 * m))
    p.fill(CAB, (x + 2 * m, y - 2.6 * m, x + 4 * m, y - 0.6 * m))
    p.fill(GLASS, (x + 2.8 * m, y - 2.4 * m, x + 3.9 * m, y - 1.6 * m))
    for along in (-2.8, -1.8, 3.0):
        p.limb(TYRE, x + along * m, y - 0.45 * m, x + along * m, y - 0.45 * m, 0.45 * m)
