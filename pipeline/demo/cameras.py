"""The three fixed cameras of the rendered archive, and the scenery of each as a table of shapes for picture.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .picture import MIDDLE, TILE, Picture


@dataclass(frozen=True, slots=True)
class Camera:
    """What a camera sees. At height y of the picture, a metre is (y - horizon) / height_m picture heights long."""

    scenery: str
    """One shape a line: number of copies, by how much each copy is moved (dx, dy) and zoomed, colour, corners."""
    horizon: float
    height_m: float
    walks: tuple[float, ...]
    lanes: tuple[float, ...]
    spots: tuple[tuple[float, float], ...]
    """The places (x, y) where something can burn."""
    lamps: tuple[tuple[float, float], ...]
    parked: tuple[tuple[float, float], ...] = ()

    def metre(self, y):
        """The length of a metre on the ground at height `y` of the picture, in picture heights."""
        return (y - self.horizon) / self.height_m


STREET = Camera(
    """1 0 0 1 94806c 0 0 1.34 .41
    5 .27 0 1 c4bcab .04 -.1 .21 .09
    5 .27 0 1 38434a .055 -.1 .195 .075
    5 .27 0 1 c4bcab .04 .16 .21 .34
    5 .27 0 1 3a474f .055 .175 .195 .325
    1 0 0 1 4b2c20 .595 .15 .735 .41
    1 0 0 1 74292a .04 .11 .5 .11 .54 .18 0 .18
    1 0 0 1 8d8b86 0 .4 1.34 .53
    12 .13 0 1 7c7a76 -.1 .4 -.097 .4 -.117 .52 -.12 .52
    1 0 0 1 b0aea7 0 .52 1.34 .54
    1 0 0 1 55555a 0 .54 1.34 .93
    7 .24 0 1 c9c6ba -.1 .705 .02 .705 .018 .72 -.104 .72
    1 0 0 1 b0aea7 0 .93 1.34 .95
    1 0 0 1 8d8b86 0 .95 1.34 1.1
    1 0 0 1 2e4638 .85 .37 .95 .5
    1 0 0 1 3c5a49 .84 .355 .96 .385""",
    horizon=-0.4, height_m=6, walks=(0.44, 0.49, 1.06), lanes=(0.67, 0.87), spots=((0.90, 0.46), (0.47, 0.52)),
    lamps=((0.35, 0.12), (1.05, 0.12)),
)  # fmt: skip
CAR_PARK = Camera(
    """1 0 0 1 a09484 0 0 1.34 .25
    7 0 .035 1 8b7f70 0 .01 1.34 .013
    1 0 0 1 4d5c69 .48 .03 .86 .24
    7 0 .03 1 617180 .48 .045 .86 .053
    1 0 0 1 6c6c6c 0 .24 1.34 1.1
    2 .3 0 1 cbc9bd .14 .28 .15 .28 .07 .55 .055 .55
    1 0 0 1 cbc9bd .655 .28 .665 .28 .667 .55 .652 .55
    2 .3 0 1 cbc9bd .9 .28 .91 .28 1 .55 .985 .55
    1 0 0 1 cbc9bd .5 .885 .72 .9
    1 0 0 1 cbc9bd .72 .87 .8 .892 .72 .915
    1 0 0 1 46572f 0 .95 1.34 1.1""",
    horizon=-0.35, height_m=7, walks=(0.58, 0.64, 1.02), lanes=(0.8,), spots=((0.52, 0.46), (0.93, 0.44)),
    lamps=((0.2, 0.1), (1.1, 0.1)), parked=((0.24, 0.45), (1.1, 0.45)),
)  # fmt: skip
CORRIDOR = Camera(
    """1 0 0 1 9ea59c 0 0 1.34 1.1
    1 0 0 1 c0c4bd -.2 -.1 1.54 -.1 .83 .12 .5 .12
    1 0 0 1 716b63 .5 .36 .83 .36 1.45 1.1 -.12 1.1
    1 0 0 1 868f88 .5 .12 .83 .36
    1 0 0 1 566b70 .61 .17 .72 .36
    9 0 0 1.22 605b54 .5 .36 .833 .36 .833 .363 .5 .363
    3 0 0 1.7 6a5342 .455 .16 .43 .15 .43 .42 .455 .395
    3 0 0 1.7 6a5342 .878 .16 .903 .15 .903 .42 .878 .395
    4 0 0 1.6 ffffff .63 .1 .703 .1 .71 .085 .623 .085""",
    horizon=0.2, height_m=2.3, walks=(), lanes=(), spots=((0.36, 0.68), (0.98, 0.66)), lamps=(),
)  # fmt: skip
CAMERAS = {"cam1": STREET, "cam2": CAR_PARK, "cam3": CORRIDOR}


def backdrop(p: Picture, camera: Camera) -> None:
    """Paint the scenery of a camera, which does not move."""
    for line in camera.scenery.splitlines():
        n, dx, dy, zoom, colour, *corners = line.split()
        eye, xy = (MIDDLE, camera.horizon), np.reshape(np.array(corners, float), (-1, 2))
        for i in range(int(n)):
            moved = (xy - eye) * float(zoom) ** i + eye + (i * float(dx), i * float(dy))
            p.fill([v / 255 for v in bytes.fromhex(colour)], moved)
    for x, y in camera.parked:
        p.car(x, y, 0.115, 1 if x > MIDDLE else -1, (0.5, 0.08 + 0.4 * x, 0.06 + 0.44 * x))
    rows, columns = (np.arange(size) for size in p.albedo.shape[:2])
    for zoom, depth in (1, 0.2), (6, 0.12):
        p.albedo *= 1 + depth * (p.clouds[np.ix_(rows * zoom % TILE, columns * zoom % TILE)][..., None] - 0.5)
