"""A canvas in plain NumPy for the rendered archive: draws shapes, people, cars, fire and smoke.

Lengths are in picture heights: x runs over 0..4/3, y downwards over 0..1.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

WIDE, MIDDLE = 4 / 3, 2 / 3  # x of the right edge, and of the point where lines along the view meet
TILE = 256  # px, side of the cloud texture, which repeats
DIGITS = "75557 26227 71747 71717 55711 74717 74757 71222 75757 75717 00700 02020 00000 74447 25755 57755"
GLYPHS = dict(zip("0123456789-: CAM", DIGITS.split(), strict=True))  # 3x5 dots: one octal digit a row
CAR = {  # polygons in metres -> their colour, or one number to multiply the car's own colour by
    "-1.7 .8 -1.1 1.42 .5 1.42 1.25 .8": (0.8,),
    "-1.42 .84 -1 1.33 -.32 1.33 -.32 .84": (0.10, 0.13, 0.16),
    "-.22 .84 -.22 1.33 .44 1.33 1.02 .84": (0.12, 0.15, 0.18),
    "-2.15 .32 -2.2 .75 -1.7 .92 1.2 .9 2.05 .72 2.15 .32": (1.0,),
    "-2.2 .62 -2.2 .7 2.1 .66 2.12 .6": (1.25,),
    "-2.1 .22 -2.15 .38 2.15 .38 2.1 .22": (0.55,),
    "1.85 .58 1.9 .74 2.08 .68 2.12 .58": (0.95, 0.93, 0.80),
    "-2.2 .6 -2.2 .76 -2 .8 -2 .6": (0.70, 0.08, 0.06),
}


class Plume(NamedTuple):
    """The point (x, y) that flames or smoke rise from, and how far they reach."""

    x: float
    y: float
    w: float
    """Reach to either side."""
    h: float
    """Reach upwards."""


class Picture:
    """A picture in two layers: `albedo` is what things reflect, `shine` what glows; (H, W, 3) float32 in 0..1."""

    def __init__(self, height: int, width: int, clouds: tuple[np.ndarray, np.ndarray]):
        self.x = np.linspace(0, WIDE, width, dtype=np.float32)[None, :]
        self.y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        self.albedo, self.shine = np.zeros((2, height, width, 3), np.float32)
        self.clouds, self.bends = clouds

    def box(self, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
        """The rows and columns of a rectangle, with a margin of two pixels."""
        h, w = self.albedo.shape[:2]
        sides = ((y0, y1, h), (x0 / WIDE, x1 / WIDE, w))
        return tuple(slice(max(int(a * n) - 2, 0), max(int(b * n) + 3, 0)) for a, b, n in sides)

    def paint(self, box: tuple[slice, slice], distance: np.ndarray, colour) -> None:
        """Colour the pixels of a box whose signed distance to a shape is negative, with a soft edge of one pixel."""
        alpha = np.minimum(np.maximum(0.5 - distance * self.albedo.shape[0], 0), 1)[..., None]  # faster than np.clip
        region = self.albedo[box]
        region += alpha * (np.asarray(colour, np.float32) - region)

    def limb(self, colour, ax, ay, bx, by, radius) -> None:
        """Draw a thick line from (ax, ay) to (bx, by) with round ends."""
        box = self.box(min(ax, bx) - radius, min(ay, by) - radius, max(ax, bx) + radius, max(ay, by) + radius)
        dx, dy, lx, ly = self.x[:, box[1]] - ax, self.y[box[0]] - ay, bx - ax, by - ay
        size = lx * lx + ly * ly + 1e-9
        t = np.minimum(np.maximum(dx * (lx / size) + dy * (ly / size), 0), 1)
        dx, dy = dx - t * lx, dy - t * ly
        self.paint(box, np.sqrt(dx * dx + dy * dy) - radius, colour)

    def fill(self, colour, corners) -> None:
        """Fill a rectangle (x0, y0, x1, y1), or a convex polygon of three or more corners."""
        xy = np.ravel(corners)
        xy = np.reshape(xy[[0, 1, 2, 1, 2, 3, 0, 3]] if xy.size == 4 else xy, (-1, 2))
        box, edges = self.box(*xy.min(axis=0), *xy.max(axis=0)), np.roll(xy, -1, axis=0) - xy
        turn = np.sign(edges[0, 0] * edges[1, 1] - edges[0, 1] * edges[1, 0])
        edges *= turn / np.linalg.norm(edges, axis=1, keepdims=True)
        x, y, distance = self.x[:, box[1]], self.y[box[0]], np.float32(-np.inf)
        for (px, py), (ex, ey) in zip(xy.tolist(), edges.tolist(), strict=True):
            distance = np.maximum(distance, ey * (x - px) - ex * (y - py))
        self.paint(box, distance, colour)

    def spot(self, layer: np.ndarray, colour, x, y, rx, ry) -> None:
        """Add a soft spot of light to a layer, or with a negative colour a shadow."""
        x, y = float(x), float(y)  # NumPy scalars would turn the arrays into float64
        box = self.box(x - rx, y - ry, x + rx, y + ry)
        d = ((self.x[:, box[1]] - x) / rx) ** 2 + ((self.y[box[0]] - y) / ry) ** 2
        layer[box] += (np.clip(1 - d, 0, 1) ** 2)[..., None] * np.asarray(colour, np.float32)

    def swirl(self, box: tuple[slice, slice], scale: float, rise: float) -> np.ndarray:
        """The cloud texture over a box, in 0..1, moved up by `rise` and warped by itself."""
        rows = ((self.y[box[0]] * scale + rise) * TILE).astype(np.int32)
        columns = (self.x[:, box[1]] * scale * TILE).astype(np.int32)
        bend = self.bends[rows % TILE, columns % TILE]
        return self.clouds[(rows + bend) % TILE, (columns + bend) % TILE]

    def walker(self, x, y, tall, phase, stride, coat, trousers) -> None:
        """Draw a person with feet at (x, y); `stride` is 1 from the side, less from the front, negative to the left."""
        self.spot(self.albedo, (-0.16, -0.16, -0.15), x, y, tall * 0.3, tall * 0.06)
        apart, swing, hip = tall * 0.04 * (1 - abs(stride)), tall * stride * math.sin(phase), y - tall * 0.48
        for side, shade in (-1, 0.75), (1, 1.0):
            knee, foot = x + side * (0.1 * swing + apart), x + side * (0.19 * swing + apart)
            lift = tall * 0.05 * max(side * math.cos(phase), 0)
            self.limb(trousers * shade, x + side * apart, hip, knee, y - tall * 0.25 - lift / 2, tall * 0.05)
            self.limb(trousers * shade, knee, y - tall * 0.25 - lift / 2, foot, y - lift - tall * 0.01, tall * 0.038)
            if side > 0:  # the body is drawn after the far arm and before the near one
                self.limb(coat, x, y - tall * 0.76, x, hip, tall * 0.095)
            shoulder = x + side * 2.2 * apart
            hand = shoulder - side * swing * 0.14
            self.limb(coat * 0.75, shoulder, y - tall * 0.79, hand, y - tall * 0.5, tall * 0.03)
        self.limb((0.16, 0.12, 0.10), x, y - tall * 0.93, x, y - tall * 0.94, tall * 0.06)
        self.limb((0.72, 0.53, 0.42), x + tall * 0.02 * stride, y - tall * 0.9, x, y - tall * 0.89, tall * 0.055)

    def car(self, x, y, metre, way, colour, tilt=0.0, night=False) -> None:
        """Draw a car from the side with its wheels at (x, y), driving to the right (`way` 1) or to the left (-1)."""
        turn = metre * np.array([[way * np.cos(tilt), np.sin(tilt)], [way * np.sin(tilt), -np.cos(tilt)]])
        self.spot(self.albedo, (-0.3, -0.3, -0.28), x, y - metre * 0.02, metre * 2.6, metre * 0.4)
        for shape, paint in CAR.items():
            paint = np.multiply(paint, colour) if len(paint) == 1 else paint
            self.fill(paint, np.reshape(np.array(shape.split(), float), (-1, 2)) @ turn.T + (x, y))
        for u in (-1.35, 1.35):
            wheel = (turn @ (u, 0.33) + (x, y)).tolist()
            self.limb((0.06, 0.06, 0.07), *wheel, *wheel, metre * 0.34)
            self.limb((0.45, 0.46, 0.48), *wheel, *wheel, metre * 0.17)
        if night:
            front, back = turn @ (2.1, 0.65) + (x, y), turn @ (-2.2, 0.7) + (x, y)
            self.spot(self.shine, (0.9, 0.85, 0.65), *front, metre * 0.7, metre * 0.5)
            ahead = front[0] + way * metre * 1.6, y - metre * 0.3
            self.spot(self.shine, (0.35, 0.32, 0.22), *ahead, metre * 2, metre / 2)
            self.spot(self.shine, (0.6, 0.05, 0.03), *back, metre * 0.4, metre * 0.3)

    def fire(self, frame: np.ndarray, plume: Plume, seconds: float, ball: float | None = None) -> None:
        """Draw flames that rise from the plume's y; with `ball`, 0 hot to 1 cold, a burning cloud around its (x, y)."""
        x, y, w, h = plume
        box = self.box(x - 1.4 * w, y - h, x + 1.4 * w, y + (0.03 if ball is None else h))
        u, v = (self.x[:, box[1]] - x) / w, (y - self.y[box[0]]) / h
        if ball is None:
            cold = 1.4 * v + 1.7 * u * u * (0.6 + v) + 12 * np.maximum(0.12 * u * u - 0.02 - v, 0)
        else:
            cold = 1.9 * (u * u + v * v) - 0.5 + 1.5 * ball
        heat = (0.35 + 1.5 * self.swirl(box, 0.9, seconds * 0.8) - cold)[..., None]
        rgb = np.clip(heat * (3, 1.9, 1.2) + (0.1, -0.25, -0.6), 0, (1, 0.96, 0.8))
        frame[box] += np.clip(heat * 2.5, 0, 1) * (rgb - frame[box])

    def smoke(self, frame: np.ndarray, plume: Plume, seconds: float, strength: float, grey: float) -> None:
        """Draw a column of smoke that widens upwards."""
        x, y, w, h = plume
        box = self.box(x - 1.7 * w, y - h, x + 1.7 * w, y + 0.02)
        v = np.maximum((y - self.y[box[0]]) / h, 0)
        u = (self.x[:, box[1]] - x - 0.1 * np.sin(seconds + 3 * v)) / (w * (0.35 + 1.2 * v))
        n = self.swirl(box, 0.55, seconds * 0.3)
        alpha = strength * np.clip(1.3 * n + 0.5 - 0.9 * u * u - 0.5 * v * v, 0, 1) * np.clip(6 * v, 0, 1)
        frame[box] += alpha[..., None] * (((0.55 + 0.9 * n) * grey)[..., None] - frame[box])


@lru_cache(maxsize=1)
def dots_of(text: str, zoom: int) -> np.ndarray:
    """Draw text as white dots (235) on black (0), (height, width, 1)."""
    dots = np.zeros((7, 4 * len(text) + 2, 1), np.uint8)
    for i, glyph in enumerate(text):
        dots[1:6, 4 * i + 2 : 4 * i + 5, 0] = [[int(row) >> bit & 1 for bit in (2, 1, 0)] for row in GLYPHS[glyph]]
    return 235 * dots.repeat(zoom, axis=0).repeat(zoom, axis=1)


def clouds_of(rng: np.random.Generator, smooth: float) -> np.ndarray:
    """Make a seamless cloud texture, (TILE, TILE) float32, its values evenly spread over 0..1: noise, smoothed."""
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(TILE) * TILE, np.fft.fftfreq(TILE) * TILE)) + 2
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(TILE, TILE))) / f**smooth).real
    return (field.ravel().argsort().argsort().reshape(TILE, TILE) / TILE**2).astype(np.float32)
