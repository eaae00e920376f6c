"""One frame -> its 224 x 224 crops, in either geometry.

`vadclip` squeezes the frame to 340 x 256 (bilinear, no antialias) as the published features are believed to be made;
`clip` is CLIP's own preprocessing (shorter side to 224, antialiased bicubic). Crops are then cut from the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from .errors import ConfigError
from .recipe import CROPS

CROP_PX = 224
VADCLIP_SIZE_PX = (256, 340)  # height, width


def shorter_side_to(pixels: int, height: int, width: int) -> tuple[int, int]:
    """Height and width that keep the aspect and have a shorter side of `pixels`, as torchvision rounds."""
    if height <= width:
        return pixels, int(pixels * width / height)
    return int(pixels * height / width), pixels


def resize(frame: np.ndarray, size: tuple[int, int], *, interpolation: str, antialias: bool) -> torch.Tensor:
    """Resize a frame as users' tools do: Pillow where antialiased, else as OpenCV and torch.

    Args:
        frame: (H, W, 3) uint8.
        size: height and width in pixels.
        interpolation: `bilinear` or `bicubic`.
        antialias: whether a smaller picture is averaged.

    Returns:
        (3, height, width) uint8.
    """
    if antialias:  # Pillow, as open_clip: torch's uint8 resize was two grey levels off on real frames, its float seven
        resized = Image.fromarray(frame).resize((size[1], size[0]), PILLOW_FILTERS[interpolation])
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1)
    pixels = torch.from_numpy(frame).permute(2, 0, 1).unsqueeze(0).float()
    resized = functional.interpolate(pixels, size=size, mode=interpolation, antialias=False)[0]
    return resized.round_().clamp_(0, 255).byte()


PILLOW_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a frame becomes the picture that crops are cut from."""

    size: Callable[[int, int], tuple[int, int]]
    """Height and width of a frame -> those it is resized to."""
    interpolation: str
    antialias: bool


GEOMETRIES = {
    "vadclip": Geometry(lambda height, width: VADCLIP_SIZE_PX, "bilinear", antialias=False),
    "clip": Geometry(partial(shorter_side_to, CROP_PX), "bicubic", antialias=True),
}


def resized_size(geometry: str, height: int, width: int) -> tuple[int, int]:
    """Height and width in pixels that `geometry` resizes a frame to before cutting crops.

    Raises:
        ConfigError: there is no such geometry.
    """
    if geometry not in GEOMETRIES:
        raise ConfigError(f"geometry must be one of {', '.join(GEOMETRIES)}, got {geometry!r}")
    return GEOMETRIES[geometry].size(height, width)


def crop_origin(crop: int, height: int, width: int) -> tuple[int, int]:
    """Top and left pixel of a crop; 5-9 are crops 0-4 mirrored afterwards, so they share their origin.

    The centre rounds as torchvision's CenterCrop does.
    """
    if crop not in CROPS:
        raise ConfigError(f"crops are numbered 0 to {CROPS[-1]}, got {crop}")
    bottom, right = height - CROP_PX, width - CROP_PX
    centre = (round(bottom / 2), round(right / 2))
    return (centre, (0, 0), (0, right), (bottom, 0), (bottom, right))[crop % 5]


def crop_frame(frame: np.ndarray, geometry: str, crops: Sequence[int]) -> torch.Tensor:
    """Resize a frame and cut crops out of it.

    Args:
        frame: (H, W, 3) uint8 RGB.
        geometry: a name in GEOMETRIES.
        crops: crop numbers, 0 to 9.

    Returns:
        (len(crops), 3, 224, 224) uint8.
    """
    size = resized_size(geometry, *frame.shape[:2])
    how = GEOMETRIES[geometry]
    resized = resize(frame, size, interpolation=how.interpolation, antialias=how.antialias)
    return cut_crops(resized, crops)


def cut_crops(resized: torch.Tensor, crops: Sequence[int]) -> torch.Tensor:
    """Crops of a (3, height, width) uint8 picture: (len(crops), 3, 224, 224) uint8."""
    out = torch.empty((len(crops), 3, CROP_PX, CROP_PX), dtype=torch.uint8)
    for slot, crop in zip(out, crops, strict=True):
        top, left = crop_origin(crop, *resized.shape[1:])
        piece = resized[:, top : top + CROP_PX, left : left + CROP_PX]
        slot.copy_(piece.flip(-1) if crop >= 5 else piece)
    return out
