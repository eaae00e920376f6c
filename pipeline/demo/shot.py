"""Draws one video frame by frame: people walk, cars pass, light changes, and in some videos an anomaly happens.

Lengths are in picture heights: x runs over 0..4/3, y downwards over 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from .archive_plan import STAMP, ArchiveConfig, RenderedVideo
from .cameras import CAMERAS, Camera, backdrop
from .nuisance import Lorry, Sweep
from .picture import MIDDLE, WIDE, Picture, Plume, dots_of

NEVER = 10**9, 10**9  # first and last frame of the anomaly in a normal video, so that it never happens
HIT = 0.1  # share of a collision's time after which the cars touch
Actor = tuple[float, Callable[..., None], tuple]  # the y it stands at, the function that draws it, its arguments


def _people(p: Picture, camera: Camera, rng: np.random.Generator) -> Callable[[float], list[Actor]]:
    """Make some people; the function returned gives those to draw at a time in seconds."""
    n = int(rng.integers(3, 6))
    pace, tall = rng.uniform(0.9, 1.6, n) * rng.choice((-1, 1), n), rng.uniform(1.6, 1.9, n)
    phase = rng.uniform(0, 6, n)
    clothes = rng.uniform(0.08, (0.55, 0.25), (n, 1, 2)) * rng.uniform(0.75, 1.3, (n, 3, 2))
    feet, offset = rng.choice(camera.walks or (0,), n) + rng.uniform(-0.02, 0.02, n), rng.uniform(-4, 4, n)

    def actors(t: float) -> list[Actor]:
        if camera.walks:  # across, and in again on the other side
            y, m, stride = feet, camera.metre(feet), np.sign(pace)
            aside = (offset + pace * t) % (2 / m + 1) - 1 / m - 0.5
        else:  # up and down a corridor
            m = 1 / (2.4 + abs((3 * offset + pace * t) % 20 - 10))
            y, aside, stride = camera.horizon + camera.height_m * m, offset / 5, np.full(n, 0.3)
        persons = np.stack([MIDDLE + aside * m, y, tall * m, phase + 4.5 * t, stride], axis=1).tolist()
        return [
            (who[1], p.walker, (*who, *clothes[i].T)) for i, who in enumerate(persons) if abs(who[0] - MIDDLE) < 0.75
        ]

    return actors


def _traffic(p: Picture, camera: Camera, rng: np.random.Generator, night: bool) -> Callable[..., list[Actor]]:
    """Make cars in every lane; the function returned gives those to draw at a time, none in the time `blocked`."""
    speed, start = rng.uniform(4, 7, 2), rng.uniform(0, 30, 2)
    colours = rng.uniform(0.08, 0.7, (5, 1)) * rng.uniform(0.85, 1.15, (5, 3))

    def actors(t: float, blocked: tuple[float, float]) -> list[Actor]:
        out = []
        for lane, y in enumerate(camera.lanes):
            m = camera.metre(y)
            view = 2 * MIDDLE / m + 9
            k, x = divmod(start[lane] + speed[lane] * t, 2 * view)
            entry = t - x / speed[lane]
            if x < view and (entry > blocked[1] or entry + view / speed[lane] < blocked[0]):
                way = 1 - 2 * lane
                out.append((y, p.car, (MIDDLE + way * (x - view / 2) * m, y, m, way, colours[int(k) % 5], 0.0, night)))
        return out

    return actors


@dataclass(frozen=True, slots=True)
class _Anomaly:
    """What happens in a video, from frame `first` until `end`, at (x, y)."""

    category: str
    x: float
    y: float
    first: int
    end: int
    seconds: float
    """How long the anomaly lasts."""

    @property
    def is_crash(self) -> bool:
        """Whether the anomaly is a collision of cars."""
        return self.category == "RoadAccidents"

    def runs(self, frame: int) -> bool:
        """Whether the anomaly happens during a frame."""
        return self.first <= frame < self.end


def _collision(p: Picture, it: _Anomaly, s: float, metre: float, colours: np.ndarray, night: bool) -> list[Actor]:
    """The two cars of a collision: they race towards each other, crash, stand with blinking lights, and back out."""
    hit, out = HIT * it.seconds, []
    gap = np.interp(s / it.seconds, (0, HIT, 0.14, 0.2, 0.9, 1), (9, 2.1, 1.8, 2.2, 2.2, 9))
    tilt = (0.05 + 0.15 * np.exp(hit - s) * np.sin(9 * (s - hit))) * (s > hit)
    for way, colour in zip((1, -1), colours, strict=True):
        out.append((it.y, p.car, (it.x - way * gap * metre, it.y, metre, way, colour, tilt, night)))
        if s > hit and s % 0.7 < 0.4:
            light = it.x - way * (gap + 2) * metre, it.y - 0.7 * metre
            p.spot(p.shine, (1, 0.5, 0.05), *light, 0.8 * metre, 0.7 * metre)
    return out


def _effects(p: Picture, frame: np.ndarray, it: _Anomaly, s: float, grey: float) -> float:
    """Draw fire and smoke at `s` seconds of an anomaly; return how much the camera is dazzled and shaken."""
    x, y, fade, shock = it.x, it.y, min((it.seconds - s) / it.seconds * 7, 1), 0.0
    if it.is_crash:
        s -= HIT * it.seconds
        if s >= 0:
            size = min(s / 2, 1) * fade
            p.smoke(frame, Plume(x, y, 0.38 + 0.1 * min(s, 1), 0.8), s, min(3 * s, 1) * fade, 0.7 * grey)
            p.fire(frame, Plume(x, y, 0.04 + 0.14 * size, 0.08 + 0.4 * size), s)
            p.spot(frame, np.multiply((1.2, 1.0, 0.6), np.exp(-6 * s)), x, y - 0.1, 0.6, 0.5)
            shock = 0.5 * np.exp(-s / 0.15)
    elif it.category == "Arson":
        size = (0.4 + 0.6 * (s / it.seconds) ** 0.6) * fade
        p.smoke(frame, Plume(x, y - 0.2 * size, 0.45, y + 0.1), s, fade, 0.4 * grey)
        p.fire(frame, Plume(x, y, 0.06 + 0.16 * size, 0.1 + 0.5 * size), s)
    else:
        r = 0.12 + 0.4 * (1 - np.exp(-s / 0.3))
        p.smoke(frame, Plume(x, y, 0.35 + 0.25 * min(s / 2, 1), y + 0.2), s, min(s, 1) * fade, 0.3 * grey)
        p.fire(frame, Plume(x, y, 0.2, 0.35 * fade + 0.02), s)
        p.fire(frame, Plume(x, y - 0.1 - 0.08 * s, r, r), s, ball=min(s / 2.5, 1))
        shock = 1.6 * np.exp(-s / 0.12)
    return float(shock)


class Shot:
    """Draws one video: the scenery once, what moves for each frame.

    Args:
        config: size, rate and length of the videos.
        video: the video to be drawn.
        noise: (N, H, W, 3) float32, the sensor's noise, used in turn.
        clouds: the two cloud textures of `Picture`.
        rng: random numbers of this video only.
    """

    def __init__(
        self,
        config: ArchiveConfig,
        video: RenderedVideo,
        noise: np.ndarray,
        clouds: tuple[np.ndarray, np.ndarray],
        rng: np.random.Generator,
    ):
        key, name = video.video_id.split("/")
        self.config, self.rng, self.name = config, rng, key[3:]
        self.camera, self.start, self.fps = CAMERAS[key], datetime.strptime(name, STAMP), float(config.fps)
        p = self.picture = Picture(config.height, config.width, clouds)
        backdrop(p, self.camera)
        hour = np.cos((self.start.hour - 13) / 12 * np.pi)
        self.day = float(np.clip(0.3 + 1.2 * hour, 0.2, 1)) if self.camera.lanes else 0.8
        self.night = self.day < 0.5
        self.light = self._light()
        self.still, self.shine = p.albedo.copy(), p.shine.copy()
        self.grain = noise * np.float32(1.8 if self.night else 1)
        self.people, self.traffic = _people(p, self.camera, rng), _traffic(p, self.camera, rng, self.night)
        self.flicker = rng.uniform((0, 0.8, -0.35), (config.seconds, 2.5, 0.25), (2, 3)).T
        """(3, 2): when each of two changes of light comes, how long it lasts, how strong it is (a cloud, a switch)."""
        self.colours = rng.uniform(0.2, 0.7, (2, 1)) * rng.uniform(0.85, 1.15, (2, 3))
        self.anomaly = self._anomaly(video)
        self.nuisance = self._nuisance(video)

    def _light(self) -> np.ndarray:
        """The light that falls on each pixel, (H, W, 3) float32: lamps at night, darker towards the corners."""
        p, tint = self.picture, (0.8, 0.9, 1) if self.night else (1, 1, 0.97)
        light = np.zeros_like(p.albedo) + self.day * self.rng.uniform(0.95, 1.05) * np.array(tint)
        for x, y in self.camera.lamps if self.night else ():
            p.spot(light, (0.75, 0.6, 0.36), x, y + 0.4, 0.65, 0.75)
            p.spot(p.shine, (1.0, 0.9, 0.7), x, y, 0.05, 0.05)
        light = light.astype(np.float32)
        return 1.05 * light - 0.5 * light * (((p.x - MIDDLE) / WIDE) ** 2 + (p.y - 0.5) ** 2)[..., None]

    def _anomaly(self, video: RenderedVideo) -> _Anomaly:
        """Make the video's anomaly; that of a normal video never begins."""
        x, y = self.camera.spots[int(self.rng.integers(len(self.camera.spots)))]
        if video.category == "RoadAccidents":
            x, y = self.rng.uniform(0.5, 0.85), sum(self.camera.lanes) / len(self.camera.lanes)
        first, end = video.segments[0] if video.segments else NEVER
        return _Anomaly(video.category, x, y, first, end, (end - first) / self.fps)

    def _nuisance(self, video: RenderedVideo) -> Lorry | Sweep | None:
        """Make what is harmless: a lorry by day where cars drive, else headlights; None where nothing of it happens."""
        if video.nuisance is None:
            return None
        begin, end = (frame / self.fps for frame in video.nuisance)
        by_day = self.camera.lanes and not self.night
        return Lorry(begin, end, self.camera) if by_day else Sweep(begin, end)

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the video's frames, (H, W, 3) uint8 RGB."""
        return map(self.frame, range(self.config.n_frames))

    def frame(self, i: int) -> np.ndarray:
        """Draw one frame, (H, W, 3) uint8 RGB; only its noise depends on which others were drawn before."""
        t, s, happens = i / self.fps, (i - self.anomaly.first) / self.fps, self.anomaly.runs(i)
        behind = self._act(t, s, happens)
        frame = self._lit(t, s, happens)
        if happens:
            frame = self._burning(frame, behind, s)
        frame += self.grain[int(self.rng.integers(len(self.grain)))]
        frame *= 255
        pixels = np.clip(frame, 0, 255, out=frame).astype(np.uint8)
        self._stamp(pixels, t)
        return pixels

    def _act(self, t: float, s: float, happens: bool) -> np.ndarray:
        """Draw everybody who moves, the farthest first.

        Returns:
            The picture without those who stand nearer than the anomaly: this is what fire and smoke may cover.
        """
        p, it = self.picture, self.anomaly
        p.albedo[:], p.shine[:] = self.still, self.shine
        actors = self.people(t + 2 * float(np.clip(s, 0, it.seconds)))  # during the anomaly everybody runs
        actors += self.traffic(t, (it.first / self.fps, it.end / self.fps))
        if happens and it.is_crash:
            actors += _collision(p, it, s, self.camera.metre(it.y), self.colours, self.night)
        if self.nuisance:
            actors += self.nuisance.actors(p, t)
        behind = p.albedo
        for depth, draw, arguments in sorted(actors, key=lambda actor: actor[0]):
            if behind is p.albedo and happens and depth > it.y:
                behind = p.albedo.copy()
            draw(*arguments)
        return behind

    def _lit(self, t: float, s: float, happens: bool) -> np.ndarray:
        """The picture in the light of the moment, that of a fire included, (H, W, 3) float32."""
        p, it, (when, span, by) = self.picture, self.anomaly, self.flicker
        ramps = np.clip(np.minimum(t - when, when + span - t) * (3 if self.camera.lanes else 20), 0, 1)
        lit = self.light * np.float32(1 + 0.05 * np.sin(0.5 * t + when[0]) + (by * ramps).sum())
        if happens and not it.is_crash:
            glow = np.multiply((1.1, 0.55, 0.18), 1 + 0.25 * np.sin(17 * t) * np.sin(5.3 * t))
            p.spot(lit, glow, it.x, it.y - 0.1, 1, 0.8)
        if self.nuisance:
            self.nuisance.shine_on(p, lit, t)
        frame = np.multiply(p.albedo, lit, out=lit)
        frame += p.shine
        return frame

    def _burning(self, frame: np.ndarray, behind: np.ndarray, s: float) -> np.ndarray:
        """Add fire and smoke behind those who stand nearer; dazzle and shake the frame where something explodes."""
        p, clear = self.picture, frame.copy()
        shock = _effects(p, frame, self.anomaly, s, 0.3 + 0.5 * self.day)
        np.copyto(frame, clear, where=np.abs(p.albedo - behind).max(axis=2, keepdims=True) > 0.03)
        if shock > 0.01:
            by_px = round(5 * shock * math.sin(40 * s)), round(4 * shock * math.sin(29 * s))
            frame = np.roll(frame + shock, by_px, (0, 1))
        return frame

    def _stamp(self, pixels: np.ndarray, t: float) -> None:
        """Write the camera's number and the time into the corner of a frame."""
        time = self.start + timedelta(seconds=int(t))
        text = dots_of(f"CAM {self.name}  {time:%Y-%m-%d %H:%M:%S}", 1 + self.config.height // 200)
        corner = pixels[: len(text), : text.shape[1]]
        np.maximum(corner // 3, text[:, : corner.shape[1]], out=corner)
