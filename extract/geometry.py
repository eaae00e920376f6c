"""One frame -> its 224 x 224 crops, in either geometry.

`vadclip` squeezes the frame to 340 x 256 (bilinear, no antialias) as the published features are believed to be made;
`clip` is CLIP's own preprocessing (shorter side to 224, antialiased bicubic). Crops are then cut from the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

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


def _resize_vadclip(frame: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    pixels = torch.from_numpy(frame).permute(2, 0, 1).unsqueeze(0).float()
    return functional.interpolate(pixels, size=size, mode="bilinear", antialias=False)[0].round_().byte()


def _resize_clip(frame: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    # Pillow, as open_clip: torch's uint8 resize was two grey levels off on real frames, its float one seven
    resized = Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


SizeRule = Callable[[int, int], tuple[int, int]]
Resize = Callable[[np.ndarray, tuple[int, int]], torch.Tensor]
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
    resized = GEOMETRIES[geometry][1](frame, size)
    out = torch.empty((len(crops), 3, CROP_PX, CROP_PX), dtype=torch.uint8)
    for slot, crop in zip(out, crops, strict=True):
        top, left = crop_origin(crop, *size)
        piece = resized[:, top : top + CROP_PX, left : left + CROP_PX]
        slot.copy_(piece.flip(-1) if crop >= 5 else piece)
    return out
