"""One frame -> its 224 x 224 crops, in either geometry.

`vadclip` squeezes the frame to 340 x 256 (bilinear, no antialias) as the published features are believed to be made;
`clip` is CLIP's own preprocessing (shorter side to 224, antialiased bicubic). Crops are then cut from the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torchvision.transforms.v2 import functional as tv

from .errors import ConfigError
from .recipe import CROPS

CROP_PX = 224
VADCLIP_SIZE_PX = (256, 340)  # height, width


def _vadclip_size(height: int, width: int) -> tuple[int, int]:
    return VADCLIP_SIZE_PX


def _clip_size(height: int, width: int) -> tuple[int, int]:
    if height <= width:
        return CROP_PX, int(CROP_PX * width / height)
    return int(CROP_PX * height / width), CROP_PX


def _resize_vadclip(frame: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return tv.resize(frame, list(size), interpolation=tv.InterpolationMode.BILINEAR, antialias=False)


def _resize_clip(frame: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return tv.resize(frame, list(size), interpolation=tv.InterpolationMode.BICUBIC, antialias=True)


SizeRule = Callable[[int, int], tuple[int, int]]
Resize = Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
GEOMETRIES: dict[str, tuple[SizeRule, Resize]] = {
    "vadclip": (_vadclip_size, _resize_vadclip),
    "clip": (_clip_size, _resize_clip),
}


def resized_size(geometry: str, height: int, width: int) -> tuple[int, int]:
    """Height and width in pixels that `geometry` resizes a frame to before cutting crops.

    Raises:
        ConfigError: there is no such geometry.
    """
    if geometry not in GEOMETRIES:
        raise ConfigError(f"geometry must be one of {', '.join(GEOMETRIES)}, got {geometry!r}")
    return GEOMETRIES[geometry][0](height, width)


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
    # a channels-last view: torch's uint8 resize has its fast path for that layout
    pixels = torch.from_numpy(frame).permute(2, 0, 1).unsqueeze(0)
    resized = GEOMETRIES[geometry][1](pixels, size)[0]
    out = torch.empty((len(crops), 3, CROP_PX, CROP_PX), dtype=torch.uint8)
    for slot, crop in zip(out, crops, strict=True):
        top, left = crop_origin(crop, *size)
        piece = resized[:, top : top + CROP_PX, left : left + CROP_PX]
        slot.copy_(piece.flip(-1) if crop >= 5 else piece)
    return out
