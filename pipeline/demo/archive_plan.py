"""What the rendered archive holds: which camera sees what and when, in which split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np

from vad_pipeline.extract.errors import ConfigError

from .cameras import CAMERAS

NORMAL, CATEGORIES = "Normal", ("Explosion", "Arson", "RoadAccidents")
NUISANCE_SHARE, NUISANCE_APART = (0.15, 0.3), 0.1  # shares of the video: how long, and how far from its anomaly
STAMP = "%Y-%m-%d_%H-%M"  # how a video's id states its start


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """What to render. Pictures must be small: players take untagged colours for BT.601 only in small pictures."""

    n_videos: int = 24
    seconds: float = 48.0
    fps: Fraction = Fraction(8)
    width: int = 320
    height: int = 240
    seed: int = 0
    anomalous_share: float = 0.5
    event_share: tuple[float, float] = (0.2, 0.5)
    """Length of the shortest and of the longest anomaly, as shares of the video."""
    hours: tuple[int, int] = (10, 16)
    """The hours of the day between which videos begin; it is dark until 7 and from 19 on."""
    first_day: date = date(2026, 11, 2)
    """The day on which the footage begins; it goes on for a fortnight."""
    nuisance_share: float = 0.0
    """Share of the videos in which something harmless happens that looks like an anomaly: see nuisance.py."""
    test_share: float = 0.35
    crf: int = 23

    def __post_init__(self):
        ranges = {"n_videos": (8, 1000), "seconds": (1, 600), "fps": (5, 60), "width": (64, 854), "height": (48, 480)}
        ranges |= {"seed": (0, 2**63), "anomalous_share": (0, 1), "test_share": (0, 1)}
        ranges |= {"nuisance_share": (0, 1), "crf": (0, 51)}
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
        """How many videos hold an anomaly."""
        return round(self.n_videos * self.anomalous_share)

    @property
    def n_frames(self) -> int:
        """How many frames each video has."""
        return round(self.seconds * self.fps)


@dataclass(frozen=True, slots=True)
class RenderedVideo:
    """One video of the archive and its ground truth; `segments` are half-open frame ranges, none in a normal video."""

    video_id: str
    path: Path
    category: str
    segments: tuple[tuple[int, int], ...]
    split: str
    n_frames: int
    nuisance: tuple[int, int] | None = None
    """Half-open frames of something harmless that looks like an anomaly; None: nothing of the kind happens."""


def plan_archive(config: ArchiveConfig, videos: Path) -> list[RenderedVideo]:
    """Plan the videos, sorted by id: every category occurs on several cameras and in both splits."""
    rng, plan = np.random.default_rng(config.seed), []
    first_day, a_day = (
        datetime.combine(config.first_day, time(config.hours[0])),
        6 * (config.hours[1] - config.hours[0]),
    )
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
    return _with_nuisances(sorted(plan, key=lambda video: video.video_id), config)


def _with_nuisances(plan: list[RenderedVideo], config: ArchiveConfig) -> list[RenderedVideo]:
    """Give a share of the videos, whatever else happens in them, a nuisance that keeps clear of the anomaly."""
    rng = np.random.default_rng([config.seed, 1])
    chosen = set(rng.permutation(len(plan))[: round(config.nuisance_share * len(plan))].tolist())
    return [replace(video, nuisance=_place(video, rng)) if i in chosen else video for i, video in enumerate(plan)]


def _place(video: RenderedVideo, rng: np.random.Generator) -> tuple[int, int] | None:
    """A range of frames that keeps NUISANCE_APART from the anomaly; None where there is no room for it."""
    apart = round(NUISANCE_APART * video.n_frames)
    length = round(video.n_frames * rng.uniform(*NUISANCE_SHARE))
    starts = [
        start
        for start in range(video.n_frames - length)
        if all(start + length + apart <= first or start >= end + apart for first, end in video.segments)
    ]
    return (start := int(rng.choice(starts)), start + length) if starts else None
