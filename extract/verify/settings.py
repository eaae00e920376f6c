"""Settings: all ways in which features may have been made that are tried, more than a recipe can say.

A released file says none of this. `identify.py` tries settings until one gives the released values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..embed.geometry import GEOMETRY_OF, cut_crops, resize, scaled, shorter_side_to
from ..embed.sampling import sample_positions
from ..recipe import CLIP_PX, SNIPPET_LEN, Recipe

SINGLE = ("first", "middle", "last")
FRAMES = (*SINGLE, *(f"mean of {k}" for k in range(2, SNIPPET_LEN + 1)))
RATES = (None, 24, 25, 30)
OFFSETS = tuple(range(SNIPPET_LEN))
SIZES = {  # side of the tower's pictures, height and width of a frame -> height and width it is resized to
    **{name: geometry.size for name, geometry in GEOMETRY_OF.items()},
    "square": lambda px, height, width: (px, px),
    "short256": lambda px, height, width: shorter_side_to(scaled(256, px), height, width),
}
ROUND_HALF_UP = 0.5 + 1e-6  # seconds in floating point fall a little short of the half
CHANNELS = ("rgb", "bgr")
NORMALISED = ("no", "frames", "snippets")


@dataclass(frozen=True, slots=True)
class Pixels:
    """How a decoded frame becomes the picture that the tower sees, and how the tower computes."""

    geometry: str = "vadclip"
    """vadclip: 340x256; clip: shorter side 224; square: squashed to 224; short256: shorter side 256.
    All of them in proportion where the tower takes pictures of another size."""
    crop: int = 0
    interpolation: str = "bilinear"
    antialias: bool = False
    channels: str = "rgb"
    """rgb, or bgr: swapped, as OpenCV reads files."""
    activation: str = "quickgelu"
    """The tower's: quickgelu or gelu."""
    precision: str = "fp32"
    """The tower's: fp32, bf16 or fp16."""
    px: int = CLIP_PX
    """Side of the pictures that the tower takes."""

    @property
    def resizing(self) -> tuple[str, str, bool]:
        """The fields that the result of `resized` depends on."""
        return self.geometry, self.interpolation, self.antialias

    def resized(self, frame: np.ndarray) -> torch.Tensor:
        """Resize a frame (H, W, 3) uint8 RGB to (3, height, width) uint8."""
        size = SIZES[self.geometry](self.px, *frame.shape[:2])
        return resize(frame, size, interpolation=self.interpolation, antialias=self.antialias)

    def seen(self, resized: torch.Tensor) -> torch.Tensor:
        """Cut out of a resized frame what the tower sees, (3, px, px) uint8."""
        (picture,) = cut_crops(resized, (self.crop,), px=self.px)
        return picture if self.channels == "rgb" else picture.flip(0)


@dataclass(frozen=True, slots=True)
class Setting:
    """One way in which features may have been made, as steps that `steps()` names."""

    pixels: Pixels = Pixels()
    frames: str = "mean of 16"
    """Which frames of each snippet are embedded: one of FRAMES."""
    offset: int = 0
    """How many frames are left out before the first snippet."""
    rate: int | None = None
    """Frames/s to which the video is converted before sampling; None: it is not converted."""
    normalised: str = "no"
    """no; frames: each embedding to length 1 before the mean; snippets: the mean afterwards."""

    def steps(self) -> dict[str, str]:
        """Each step's name and value, for people."""
        pixels = self.pixels
        return {
            "geometry": pixels.geometry,
            "crop": str(pixels.crop),
            "interpolation": pixels.interpolation,
            "antialias": "yes" if pixels.antialias else "no",
            "channels": pixels.channels,
            "activation": pixels.activation,
            "precision": pixels.precision,
            "frames": self.frames,
            "offset": str(self.offset),
            "rate": "as it is" if self.rate is None else f"to {self.rate} fps",
            "normalised": self.normalised,
        }

    def with_pixels(self, **changes) -> Setting:
        """This setting with other values in these fields of its `pixels`."""
        return replace(self, pixels=replace(self.pixels, **changes))

    @classmethod
    def of_recipe(cls, recipe: Recipe, crop: int, *, activation: str, precision: str) -> Setting:
        """The setting of what `extract` does by a recipe; that it may skip still frames is left out."""
        geometry, k = GEOMETRY_OF[recipe.geometry], recipe.frames_per_snippet
        pixels = Pixels(
            recipe.geometry,
            crop,
            geometry.interpolation,
            geometry.antialias,
            activation=activation,
            precision=precision,
            px=recipe.image_px,
        )
        return cls(pixels, frames="middle" if k == 1 else f"mean of {k}")

    def beyond_extract(self) -> list[str]:
        """The steps that no option of `extract` can do."""
        steps, geometry = self.steps(), GEOMETRY_OF.get(self.pixels.geometry)
        plain = {"channels": "rgb", "offset": "0", "rate": "as it is", "normalised": "no"}
        beyond = [name for name, value in plain.items() if steps[name] != value]
        beyond += ["frames"] if self.frames in ("first", "last") else []
        if geometry is None:
            return ["geometry", *beyond]
        own = {"interpolation": geometry.interpolation, "antialias": geometry.antialias}
        return [name for name, value in own.items() if getattr(self.pixels, name) != value] + beyond

    @property
    def frames_per_snippet(self) -> int:
        """How many frames of a snippet are embedded."""
        return int(self.frames.split()[-1]) if self.frames.startswith("mean") else 1

    def positions(self, length: int) -> tuple[int, ...]:
        """Which of a snippet's `length` frames are embedded."""
        if self.frames in ("first", "last"):
            return (0,) if self.frames == "first" else (length - 1,)
        return sample_positions(length, self.frames_per_snippet)

    def combine(self, embeddings: np.ndarray) -> np.ndarray:
        """Combine the embeddings of a snippet's K frames, (K, D), to the snippet's, (D,) float32."""
        if self.normalised == "frames":
            embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        mean = np.add.reduce(embeddings, axis=0) / len(embeddings)  # in the order of embed_video.py: the same bits
        return mean / np.linalg.norm(mean) if self.normalised == "snippets" else mean


def converted(frame_seconds: np.ndarray, rate: int | None) -> np.ndarray:
    """Convert a video to another frame rate: which of its frames each new frame shows, as by FFmpeg's `fps` filter.

    Args:
        frame_seconds: (F,), when each frame of the video is shown.
        rate: frames/s; None leaves the video as it is.

    Returns:
        (G,) int64: the number of the old frame that each of the G new frames shows.
    """
    if rate is None:
        return np.arange(len(frame_seconds))
    slots = np.floor((frame_seconds - frame_seconds[0]) * rate + ROUND_HALF_UP).astype(np.int64)
    spacing = np.median(np.diff(frame_seconds)) if len(frame_seconds) > 1 else 1 / rate
    length = max(1, int(np.floor((frame_seconds[-1] - frame_seconds[0] + spacing) * rate + ROUND_HALF_UP)))
    return np.searchsorted(slots, np.arange(length), side="right") - 1


def snippet_frames(setting: Setting, shown: np.ndarray, row: int) -> np.ndarray:
    """Numbers of the frames that a row of features is made of; empty where the video ends before.

    Args:
        setting: how the features are made.
        shown: what `converted` gives for the setting's rate.
        row: index of the row.
    """
    start = setting.offset + row * SNIPPET_LEN
    snippet = shown[start : start + SNIPPET_LEN]
    return snippet[list(setting.positions(len(snippet)))] if len(snippet) else snippet


def n_rows(setting: Setting, shown: np.ndarray) -> tuple[int, int]:
    """How many rows a video has, with tail `drop` and with tail `keep`."""
    n_frames = max(0, len(shown) - setting.offset)
    return max(n_frames // SNIPPET_LEN, min(n_frames, 1)), -(-n_frames // SNIPPET_LEN)
