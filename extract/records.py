"""The records this room hands on; no heavy import, so that looking at a store loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from .gaps import Gap, find_gaps
from .recipe import EMBEDDING_DIM, Recipe


@dataclass(frozen=True, slots=True, eq=False)
class VideoInfo:
    """What decoding a whole file found."""

    path: str
    n_frames: int
    """Decoded, never the header's word."""
    n_frames_header: int | None
    """Without those that an edit list hides: a trim that copies leaves them in the file."""
    fps: Fraction
    """Average rate, exact."""
    width: int
    """px, after rotation."""
    height: int
    """px, after rotation."""
    frame_seconds: np.ndarray = field(repr=False)
    """(n_frames,) float64, relative to the container's start, strictly increasing."""
    corrupt_packets: int
    retimed_frames: int
    warnings: tuple[str, ...]
    route: str
    """Which way the frames came: library and device."""

    def __post_init__(self):
        if self.frame_seconds.shape != (self.n_frames,):
            raise ValueError(f"expected frame_seconds of shape ({self.n_frames},), got {self.frame_seconds.shape}")

    @property
    def duration_seconds(self) -> float:
        """From the first frame to the end of the last one, gaps left out."""
        gaps = sum(gap.seconds for gap in self.gaps)
        return float(self.frame_seconds[-1] - self.frame_seconds[0] + 1 / self.fps) - gaps

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Where its times leap forward for good."""
        return find_gaps(self.frame_seconds)


@dataclass(frozen=True, slots=True, eq=False)
class VideoEmbeddings:
    """The embeddings of one video, one row a snippet."""

    video_id: str
    embeddings: np.ndarray = field(repr=False)
    """(crops, n, 512) float16, as the store keeps them; not L2-normalised."""
    crops: tuple[int, ...]
    """Which crop each row of the first axis is."""
    snippet_seconds: np.ndarray = field(repr=False)
    """(n, 2) float64, start and end of each snippet."""
    frame_seconds: np.ndarray = field(repr=False)
    """(F,) float64."""
    fps: Fraction
    recipe: Recipe
    info: VideoInfo | None
    """None where features were imported."""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Wall time inside decoding and inside encoding; the two overlap."""
    still_share: float | None = None
    """Of the sampled frames, those that took the embedding of one before; None where the recipe has no still bound."""

    def __post_init__(self):
        n = len(self.snippet_seconds)
        expected = (len(self.crops), n, EMBEDDING_DIM)
        if self.embeddings.shape != expected:
            raise ValueError(f"expected embeddings of shape {expected}, got {self.embeddings.shape}")

    @property
    def n_frames(self) -> int:
        """Frames of the video, F."""
        return len(self.frame_seconds)
