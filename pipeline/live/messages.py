"""What a camera's thread sends to the one that embeds and scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import torch

from vad_pipeline.extract.errors import VadError


@dataclass(frozen=True, slots=True)
class Opened:
    """The camera gives pictures."""

    camera: str
    width: int
    height: int
    fps: Fraction


@dataclass(frozen=True, slots=True)
class Lost:
    """The camera has ended, or gives nothing more."""

    camera: str
    why: str
    again_in_seconds: float | None
    """After how long it is tried again; None: it is not."""


@dataclass(frozen=True, slots=True)
class Began:
    """A new video of the camera begins."""

    camera: str
    began: float
    """When its first frame arrived, seconds since 1970."""
    fps: Fraction


@dataclass(frozen=True, slots=True, eq=False)
class Snippet:
    """A snippet of a camera's video."""

    camera: str
    images: torch.Tensor = field(repr=False)
    """(k, 1, 3, px, px) uint8: crops of the frames to embed."""
    counts: tuple[int, ...]
    """The numbers that `StillScenes.split` gave for it."""
    times: tuple[float, ...] = field(repr=False)
    """When its frames are shown, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A camera's video has ended."""

    camera: str
    times: tuple[float, ...]
    """Of the frames after the last snippet, fewer than a snippet."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing more comes from the camera."""

    camera: str
    error: VadError | None = None
    """Why all has to stop; None: it has ended as it should."""


Message = Opened | Lost | Began | Snippet | Ended | Finished
