"""Resizes frames and cuts square crops out of them, in either geometry, for a tower that takes pictures of `px`.

`vadclip` squeezes the frame to 340 x 256 (bilinear, no antialias) as the published features are believed to be made;
`clip` is CLIP's own preprocessing (shorter side to 224, antialiased bicubic). Crops are then cut from the result, each
224 x 224; 5 to 9 are 0 to 4 mirrored. These are the numbers for 224 px; a tower that takes others has all of them in
proportion, and so sees the same part of a frame. Where crops begin in `vadclip`'s 340 x 256 (left, top):

    1 (0, 0)                     2 (116, 0)
                  0 (58, 16)
    3 (0, 32)                    4 (116, 32)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from ..errors import ConfigError
from ..recipe import CLIP_PX, CROPS

VADCLIP_SIZE_PX = (256, 340)  # height, width, where the tower takes 224 px
PILLOW_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
PX_AT_ONCE = 2_000_000  # pixels of the frames resized together: 24 MB in float


def scaled(length: int, px: int) -> int:
    """A length in pixels that is meant for CLIP's 224 px, for a tower that takes `px`."""
    return round(length * px / CLIP_PX)


def vadclip_size(px: int, height: int, width: int) -> tuple[int, int]:
    """Height and width that a frame of any size is squeezed to."""
    return scaled(VADCLIP_SIZE_PX[0], px), scaled(VADCLIP_SIZE_PX[1], px)


def shorter_side_to(pixels: int, height: int, width: int) -> tuple[int, int]:
    """Height and width that keep the aspect and have a shorter side of `pixels`, as torchvision rounds."""
    if height <= width:
        return pixels, int(pixels * width / height)
    return int(pixels * height / width), pixels


def resize(frames: np.ndarray, size: tuple[int, int], *, interpolation: str, antialias: bool) -> torch.Tensor:
    """Resize frames: with Pillow where antialiased, else with torch, which gives what OpenCV gives.

    Args:
        frames: (..., H, W, 3) uint8.
        size: height and width in pixels.
        interpolation: `bilinear` or `bicubic`.
        antialias: whether pixels are averaged where the picture becomes smaller.

    Returns:
        (..., 3, height, width) uint8.
    """
    single = frames.reshape(-1, *frames.shape[-3:])
    if antialias:  # Pillow, as open_clip: torch's uint8 resize was two grey levels off on real frames, its float seven
        pillow_size, how = (size[1], size[0]), PILLOW_FILTERS[interpolation]
        resized = np.stack([np.asarray(Image.fromarray(frame).resize(pillow_size, how)) for frame in single])
        pixels = torch.from_numpy(resized).permute(0, 3, 1, 2)
    else:
        pixels = torch.from_numpy(single).permute(0, 3, 1, 2).float()
        pixels = functional.interpolate(pixels, size=size, mode=interpolation, antialias=False)
        pixels = pixels.round_().clamp_(0, 255).byte()
    return pixels.reshape(*frames.shape[:-3], *pixels.shape[1:])


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a frame is resized to the picture that crops are cut from."""

    size: Callable[[int, int, int], tuple[int, int]]
    """Side of the tower's pictures, height and width of a frame -> height and width it is resized to."""
    interpolation: str
    antialias: bool


GEOMETRY_OF = {  # one for each name in recipe.GEOMETRIES
    "vadclip": Geometry(vadclip_size, "bilinear", antialias=False),
    "clip": Geometry(shorter_side_to, "bicubic", antialias=True),
}


def resized_size(geometry: str, height: int, width: int, *, px: int = CLIP_PX) -> tuple[int, int]:
    """Height and width in pixels that `geometry` resizes a frame to before cutting crops of `px` x `px`.

    Raises:
        ConfigError: there is no such geometry.
    """
    if geometry not in GEOMETRY_OF:
        raise ConfigError(f"geometry must be one of {', '.join(GEOMETRY_OF)}, got {geometry!r}")
    return GEOMETRY_OF[geometry].size(px, height, width)


def crop_origin(crop: int, height: int, width: int, *, px: int = CLIP_PX) -> tuple[int, int]:
    """Top and left pixel of a crop of `px` x `px`.

    Crops 5 to 9 are crops 0 to 4 mirrored afterwards, so they have the same origin. The centre is rounded as by
    torchvision's CenterCrop.

    Raises:
        ConfigError: there is no crop of that number.
    """
    if crop not in CROPS:
        raise ConfigError(f"crops are numbered 0 to {CROPS[-1]}, got {crop}")
    bottom, right = height - px, width - px
    centre = (round(bottom / 2), round(right / 2))
    return (centre, (0, 0), (0, right), (bottom, 0), (bottom, right))[crop % 5]


def crop_frames(
    frames: Sequence[np.ndarray], geometry: str, crops: Sequence[int], *, px: int = CLIP_PX
) -> torch.Tensor:
    """Resize frames and cut crops out of them; small frames of one size are resized together.

    Args:
        frames: (H, W, 3) uint8 RGB each.
        geometry: a name in `GEOMETRIES`.
        crops: crop numbers, 0 to 9.
        px: side of a crop.

    Returns:
        (len(frames), len(crops), 3, px, px) uint8; a frame's crops do not depend on the other frames.
    """
    at_once = max(1, PX_AT_ONCE // max(frame[..., 0].size for frame in frames))
    if len({frame.shape for frame in frames}) > 1:
        at_once = 1
    stacks = [np.stack(frames[start : start + at_once]) for start in range(0, len(frames), at_once)]
    return torch.cat([_crops_of_stack(stack, geometry, crops, px) for stack in stacks])


def _crops_of_stack(frames: np.ndarray, geometry: str, crops: Sequence[int], px: int) -> torch.Tensor:
    size = resized_size(geometry, *frames.shape[1:3], px=px)
    how = GEOMETRY_OF[geometry]
    return cut_crops(resize(frames, size, interpolation=how.interpolation, antialias=how.antialias), crops, px=px)


def crop_on_device(
    frames: Sequence[torch.Tensor], geometry: str, crops: Sequence[int], *, px: int = CLIP_PX
) -> torch.Tensor:
    """Do what `crop_frames` does for frames on a GPU, where the crops stay.

    `vadclip` is computed exactly as in `crop_frames`. `clip` is resized by torch in Pillow's two passes, each rounded
    to grey levels as Pillow rounds them: pixels differ by two grey levels at most, and by 0.01 on average.

    Args:
        frames: (H, W, 3) uint8 RGB each.
        geometry: a name in `GEOMETRIES`.
        crops: crop numbers, 0 to 9.
        px: side of a crop.

    Returns:
        (len(frames), len(crops), 3, px, px) uint8.
    """
    return torch.stack([cut_crops(_resized_on_device(frame, geometry, px), crops, px=px) for frame in frames])


def _resized_on_device(frame: torch.Tensor, geometry: str, px: int) -> torch.Tensor:
    height, width = resized_size(geometry, *frame.shape[:2], px=px)
    how = GEOMETRY_OF[geometry]
    pixels = frame.permute(2, 0, 1)[None].float()
    for size in [(frame.shape[0], width), (height, width)] if how.antialias else [(height, width)]:
        pixels = functional.interpolate(pixels, size=size, mode=how.interpolation, antialias=how.antialias)
        pixels = pixels.round_().clamp_(0, 255)
    return pixels[0].byte()


def cut_crops(resized: torch.Tensor, crops: Sequence[int], *, px: int = CLIP_PX) -> torch.Tensor:
    """Cut crops out of pictures, on their device: (..., 3, height, width) -> (..., len(crops), 3, px, px), uint8."""
    out = resized.new_empty((*resized.shape[:-3], len(crops), 3, px, px))
    for slot, crop in enumerate(crops):
        top, left = crop_origin(crop, *resized.shape[-2:], px=px)
        piece = resized[..., top : top + px, left : left + px]
        out[..., slot, :, :, :] = piece.flip(-1) if crop >= 5 else piece
    return out
