"""Renders a small archive that looks like CCTV, with video-level labels and frame truth: the demo's data.

Three fixed cameras (street, car park, corridor) see people walk, cars pass, day, night and light changes; some videos
hold one anomaly. Lengths are in picture heights: x runs over 0..4/3, y downwards over 0..1.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vad_pipeline.extract.errors import ConfigError

from .cameras import CAMERAS, Camera, backdrop
from .picture import MIDDLE, WIDE, Picture, clouds_of, dots_of

NORMAL, CATEGORIES = "Normal", ("Explosion", "Arson", "RoadAccidents")
STAMP = "%Y-%m-%d_%H-%M"
NOISE_FRAMES = 12
HIT = 0.1  # share of a collision after which the cars touch
Actor = tuple[float, Callable[..., None], tuple]  # where it stands (y), how to draw it


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """What to render; pictures stay small enough for players to take their untagged colours for BT.601."""

    n_videos: int = 24
    seconds: float = 48.0
    fps: Fraction = Fraction(8)
    width: int = 320
    height: int = 240
    seed: int = 0
    anomalous_share: float = 0.5
    event_share: tuple[float, float] = (0.2, 0.5)
    """Shortest and longest anomaly, in shares of its video."""
    hours: tuple[int, int] = (10, 16)
    """Between which the videos begin; it is dark until 7 and from 19 on."""
    test_share: float = 0.35
    crf: int = 23

    def __post_init__(self):
        ranges = {"n_videos": (8, 1000), "seconds": (1, 600), "fps": (5, 60), "width": (64, 854), "height": (48, 480)}
        ranges |= {"seed": (0, 2**63), "anomalous_share": (0, 1), "test_share": (0, 1), "crf": (0, 51)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} must be within {low}..{high}, got {getattr(self, name)}")
        if not 0 <= self.hours[0] < self.hours[1] <= 24:
            raise ConfigError(f"hours must be two rising hours of a day, got {self.hours}")
        if not 0 < self.event_share[0] <= self.event_share[1] <= 0.9:
            raise ConfigError(f"event_share must be two rising shares within 0..0.9, got {self.event_share}")
        if self.width % 2 or self.height % 2:
            raise ConfigError(f"width and height must be even, got {self.width}x{self.height}")
        if not 2 * len(CATEGORIES) <= self.n_anomalous <= self.n_videos - 2:
            raise ConfigError(
                f"both splits need normal videos (2) and every category ({2 * len(CATEGORIES)} anomalous videos), got "
                f"{self.n_videos - self.n_anomalous} and {self.n_anomalous}: more videos (demo: --videos), or another "
                "anomalous_share"
            )

    @property
    def n_anomalous(self) -> int:
        """Videos in which something happens."""
        return round(self.n_videos * self.anomalous_share)

    @property
    def n_frames(self) -> int:
        """Of each video."""
        return round(self.seconds * self.fps)


@dataclass(frozen=True, slots=True)
class RenderedVideo:
    """One video and its truth; `segments` are half-open frame ranges, none in a normal video."""

    video_id: str
    path: Path
    category: str
    segments: tuple[tuple[int, int], ...]
    split: str
    n_frames: int


def _people(p: Picture, camera: Camera, rng: np.random.Generator) -> Callable[[float], list[Actor]]:
    """Some persons; the answer says what to draw at a time."""
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
    """Cars in every lane; none of them is in view between the times `blocked`."""
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


def _collision(p: Picture, x, y, metre, colours, s, length, night) -> list[Actor]:
    """Two cars that race towards each other, crash, stand with blinking lights and back out at last."""
    hit, out = HIT * length, []
    gap = np.interp(s / length, (0, HIT, 0.14, 0.2, 0.9, 1), (9, 2.1, 1.8, 2.2, 2.2, 9))
    tilt = (0.05 + 0.15 * np.exp(hit - s) * np.sin(9 * (s - hit))) * (s > hit)
    for way, colour in zip((1, -1), colours, strict=True):
        out.append((y, p.car, (x - way * gap * metre, y, metre, way, colour, tilt, night)))
        if s > hit and s % 0.7 < 0.4:
            p.spot(p.shine, (1, 0.5, 0.05), x - way * (gap + 2) * metre, y - 0.7 * metre, 0.8 * metre, 0.7 * metre)
    return out


def _frames(config: ArchiveConfig, video: RenderedVideo, noise: np.ndarray, clouds: tuple,
            rng: np.random.Generator) -> Iterator[np.ndarray]:  # fmt: skip
    """The frames of one video, (H, W, 3) uint8."""
    key, name = video.video_id.split("/")
    camera, start, fps = CAMERAS[key], datetime.strptime(name, STAMP), float(config.fps)
    p = Picture(config.height, config.width, clouds)
    backdrop(p, camera)
    day = float(np.clip(0.3 + 1.2 * np.cos((start.hour - 13) / 12 * np.pi), 0.2, 1)) if camera.lanes else 0.8
    night = day < 0.5
    light = np.zeros_like(p.albedo) + day * rng.uniform(0.95, 1.05) * np.array((0.8, 0.9, 1) if night else (1, 1, 0.97))
    for x, y in camera.lamps if night else ():
        p.spot(light, (0.75, 0.6, 0.36), x, y + 0.4, 0.65, 0.75)
        p.spot(p.shine, (1.0, 0.9, 0.7), x, y, 0.05, 0.05)
    light = light.astype(np.float32)
    light = 1.05 * light - 0.5 * light * (((p.x - MIDDLE) / WIDE) ** 2 + (p.y - 0.5) ** 2)[..., None]
    still, shine = p.albedo.copy(), p.shine.copy()
    grain = noise * np.float32(1.8 if night else 1)

    people, traffic = _people(p, camera, rng), _traffic(p, camera, rng, night)
    when, span, by = rng.uniform((0, 0.8, -0.35), (config.seconds, 2.5, 0.25), (2, 3)).T  # clouds, switches
    colours = rng.uniform(0.2, 0.7, (2, 1)) * rng.uniform(0.85, 1.15, (2, 3))
    x, y = camera.spots[int(rng.integers(len(camera.spots)))]
    crash = video.category == "RoadAccidents"
    if crash:
        x, y = rng.uniform(0.5, 0.85), sum(camera.lanes) / len(camera.lanes)
    (first, end), *_ = *video.segments, (10**9, 10**9)  # never
    length = (end - first) / fps

    for i in range(config.n_frames):
        t, s, alarm = i / fps, (i - first) / fps, first <= i < end
        p.albedo[:], p.shine[:] = still, shine
        actors = people(t + 2 * float(np.clip(s, 0, length)))  # everyone runs
        actors += traffic(t, (first / fps, end / fps))
        if alarm and crash:
            actors += _collision(p, x, y, camera.metre(y), colours, s, length, night)
        behind = p.albedo
        for depth, draw, arguments in sorted(actors, key=lambda actor: actor[0]):
            if behind is p.albedo and alarm and depth > y:
                behind = p.albedo.copy()
            draw(*arguments)

        ramps = np.clip(np.minimum(t - when, when + span - t) * (3 if camera.lanes else 20), 0, 1)
        lit = light * np.float32(1 + 0.05 * np.sin(0.5 * t + when[0]) + (by * ramps).sum())
        if alarm and not crash:
            p.spot(lit, np.multiply((1.1, 0.55, 0.18), 1 + 0.25 * np.sin(17 * t) * np.sin(5.3 * t)), x, y - 0.1, 1, 0.8)
        frame = np.multiply(p.albedo, lit, out=lit)
        frame += p.shine
        if alarm:
            clear = frame.copy()
            shock = _effects(p, frame, video.category, x, y, s, length, 0.3 + 0.5 * day)
            np.copyto(frame, clear, where=np.abs(p.albedo - behind).max(axis=2, keepdims=True) > 0.03)  # who is nearer
            if shock > 0.01:
                by_px = round(5 * shock * math.sin(40 * s)), round(4 * shock * math.sin(29 * s))
                frame = np.roll(frame + shock, by_px, (0, 1))
        frame += grain[int(rng.integers(len(grain)))]
        frame *= 255
        pixels = np.clip(frame, 0, 255, out=frame).astype(np.uint8)
        text = dots_of(
            f"CAM {key[3:]}  {start + timedelta(seconds=int(t)):%Y-%m-%d %H:%M:%S}", 1 + config.height // 200
        )
        corner = pixels[: len(text), : text.shape[1]]
        np.maximum(corner // 3, text[:, : corner.shape[1]], out=corner)
        yield pixels


def _effects(p: Picture, frame: np.ndarray, category: str, x, y, s, length, grey) -> float:
    """Fire and smoke at s seconds of an anomaly; the answer is how much the camera is dazzled and shaken."""
    fade, shock = min((length - s) / length * 7, 1), 0.0
    if category == "RoadAccidents":
        s -= HIT * length
        if s >= 0:
            size = min(s / 2, 1) * fade
            p.smoke(frame, x, y, 0.38 + 0.1 * min(s, 1), 0.8, s, min(3 * s, 1) * fade, 0.7 * grey)
            p.fire(frame, x, y, 0.04 + 0.14 * size, 0.08 + 0.4 * size, s)
            p.spot(frame, np.multiply((1.2, 1.0, 0.6), np.exp(-6 * s)), x, y - 0.1, 0.6, 0.5)
            shock = 0.5 * np.exp(-s / 0.15)
    elif category == "Arson":
        size = (0.4 + 0.6 * (s / length) ** 0.6) * fade
        p.smoke(frame, x, y - 0.2 * size, 0.45, y + 0.1, s, fade, 0.4 * grey)
        p.fire(frame, x, y, 0.06 + 0.16 * size, 0.1 + 0.5 * size, s)
    else:
        r = 0.12 + 0.4 * (1 - np.exp(-s / 0.3))
        p.smoke(frame, x, y, 0.35 + 0.25 * min(s / 2, 1), y + 0.2, s, min(s, 1) * fade, 0.3 * grey)
        p.fire(frame, x, y, 0.2, 0.35 * fade + 0.02, s)
        p.fire(frame, x, y - 0.1 - 0.08 * s, r, r, s, ball=min(s / 2.5, 1))
        shock = 1.6 * np.exp(-s / 0.12)
    return float(shock)


def _plan(config: ArchiveConfig, videos: Path) -> list[RenderedVideo]:
    """Which camera sees what and when: every category on several cameras and in both splits."""
    rng, plan = np.random.default_rng(config.seed), []
    first_day, a_day = datetime(2026, 11, 2, config.hours[0]), 6 * (config.hours[1] - config.hours[0])
    slots = rng.permutation(max(14, -(-config.n_videos // a_day)) * a_day).tolist()
    times = [first_day + timedelta(days=k // a_day, minutes=10 * (k % a_day)) for k in slots]
    counts = {c: len(range(i, config.n_anomalous, len(CATEGORIES))) for i, c in enumerate(CATEGORIES)}
    for shift, (category, n) in enumerate({NORMAL: config.n_videos - config.n_anomalous, **counts}.items()):
        cameras = [key for key, camera in CAMERAS.items() if camera.lanes or category != "RoadAccidents"]
        n_test = min(max(round(n * config.test_share), 1), n - 1)
        for i, rank in enumerate(rng.permutation(n)):
            video_id = f"{cameras[(i + shift) % len(cameras)]}/{times.pop():{STAMP}}"
            length = max(round(config.n_frames * rng.uniform(*config.event_share)), 1)
            first = int(rng.integers(1, config.n_frames - length))
            segments = () if category == NORMAL else ((first, first + length),)
            split = "test" if rank < n_test else "train"
            path = videos / f"{video_id}.mp4"
            plan.append(RenderedVideo(video_id, path, category, segments, split, config.n_frames))
    return sorted(plan, key=lambda video: video.video_id)


def _encode(path: Path, config: ArchiveConfig, frames: Iterator[np.ndarray]) -> None:
    options = {"crf": str(config.crf), "preset": "superfast"}
    with av.open(str(path), "w") as container, ThreadPoolExecutor(1) as ahead:  # draws a frame while one is encoded
        stream = container.add_stream("libx264", rate=Fraction(config.fps), options=options)
        stream.width, stream.height, stream.pix_fmt = config.width, config.height, "yuv420p"
        stream.thread_count = 2
        drawn = ahead.submit(next, frames, None)
        for i in range(config.n_frames):
            pixels, drawn = drawn.result(), ahead.submit(next, frames, None)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = i, 1 / Fraction(config.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write_csv(path: Path, header: str, rows: list[tuple]) -> None:
    aside = path.with_name(f".partial-{path.name}")
    with aside.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])
    os.replace(aside, path)


def render_archive(
    folder: Path, config: ArchiveConfig | None = None, *, on_video: Callable[[RenderedVideo], None] | None = None
) -> list[RenderedVideo]:
    """Render `videos/`, then `labels.csv` and `annotations.csv` (csv format, half-open), all anew.

    Same configuration, same machine: same pixels. A file is complete as soon as it is there; the tables come last.

    Args:
        folder: where the archive goes; videos of other configurations in it stay.
        config: what to render.
        on_video: called after each finished video.
    Returns:
        the videos, sorted by id.
    Raises:
        OSError: the folder cannot be written.
    """
    config, folder = config or ArchiveConfig(), Path(folder)
    rng = np.random.default_rng(config.seed)
    clouds = clouds_of(rng, 2.1), (clouds_of(rng, 3.5) * 90).astype(np.int32)
    noise = rng.normal(0, 0.022, (NOISE_FRAMES, config.height, config.width, 3)).astype(np.float32)
    plan, aside = _plan(config, folder / "videos"), folder / ".partial.mp4"
    for table in ("labels.csv", "annotations.csv"):
        (folder / table).unlink(missing_ok=True)
    for i, video in enumerate(plan):
        video.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _encode(aside, config, _frames(config, video, noise, clouds, np.random.default_rng([config.seed, i])))
            os.replace(aside, video.path)
        finally:
            aside.unlink(missing_ok=True)
        if on_video:
            on_video(video)
    _write_csv(folder / "labels.csv", "video,label,split", [(v.video_id, v.category, v.split) for v in plan])
    ranges = [(v.video_id, *part, v.category) for v in plan for part in v.segments or (("", ""),)]
    _write_csv(folder / "annotations.csv", "video,start_frame,end_frame,category", ranges)
    return plan
