"""`VideoInfo` and `VideoEmbeddings`. Nothing heavy is imported here, so that looking at a store loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from .gaps import Gap, find_gaps
from .recipe import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class VideoInfo:
    """What is known of a video once its whole file is decoded."""

    path: str
    n_frames: int
    """How many frames were decoded, whatever the header says."""
    n_frames_header: int | None
    """How many frames the header promises, without those that an edit list hides; None where it does not say."""
    fps: Fraction
    """Average frame rate, frames/s, exact."""
    width: int
    """Width in px, after rotation."""
    height: int
    """Height in px, after rotation."""
    frame_seconds: np.ndarray = field(repr=False)
    """(n_frames,) float64: when each frame is shown, from the container's start, strictly increasing."""
    corrupt_packets: int
    """How many packets could not be decoded and were skipped."""
    retimed_frames: int
    """How many frames got another time than their timestamp says, see `timeline`."""
    warnings: tuple[str, ...]
    """What a user must know of the video, one sentence each."""
    route: str
    """Library and device that decoded the frames, such as `pyav cpu`."""

    def __post_init__(self):
        if self.frame_seconds.shape != (self.n_frames,):
            raise ValueError(f"expected frame_seconds of shape ({self.n_frames},), got {self.frame_seconds.shape}")

    @property
    def duration_seconds(self) -> float:
        """Seconds from the first frame to the end of the last one, without gaps."""
        gaps = sum(gap.seconds for gap in self.gaps)
        return float(self.frame_seconds[-1] - self.frame_seconds[0] + 1 / self.fps) - gaps

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Stretches of time without footage."""
        return find_gaps(self.frame_seconds)


@dataclass(frozen=True, slots=True, eq=False)
class VideoEmbeddings:
    """The embeddings of one video, one row for each snippet."""

    video_id: str
    embeddings: np.ndarray = field(repr=False)
    """(crops, n, D) float16, as the store keeps them; not L2-normalised."""
    crops: tuple[int, ...]
    """Number of each crop, in the order of the embeddings' first axis."""
    snippet_seconds: np.ndarray = field(repr=False)
    """(n, 2) float64: start and end of each snippet."""
    frame_seconds: np.ndarray = field(repr=False)
    """(F,) float64: when each frame is shown."""
    fps: Fraction
    """Average frame rate, frames/s."""
    recipe: Recipe
    info: VideoInfo | None
    """What decoding found; None where the features were imported."""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of `decode` and of `encode`, in seconds; the two overlap."""
    still_share: float | None = None
    """Share of the sampled frames that took over an earlier frame's embedding; None where the recipe skips none."""

    def __post_init__(self):
        n = len(self.snippet_seconds)
        expected = (len(self.crops), n, self.recipe.width)
        if self.embeddings.shape != expected:
            raise ValueError(f"expected embeddings of shape {expected}, got {self.embeddings.shape}")

    @property
    def n_frames(self) -> int:
        """How many frames the video has, F."""
        return len(self.frame_seconds)
