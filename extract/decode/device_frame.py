"""A decoded frame that stays on the GPU that decoded it, and its conversion to RGB there, as swscale does it.

Shapes: H, W of the luma plane; h, w of the chroma plane, half as large (rounded down by PyAV where H or W is odd).
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange
from torch.nn import functional

from ..errors import NvdecFailed
from .reader import quarter_turns, untagged_hd

FORMATS = {"nv12": 1, "p010le": 256, "p016le": 256}  # format -> number that divides a sample to give 8 bits
BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)
RED_AND_BLUE = {  # number of the colour matrix -> shares of red and blue in luma; untagged is BT.601, as in swscale
    1: BT709,
    2: BT601,
    4: (0.30, 0.11),  # FCC
    5: BT601,
    6: BT601,
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}


@dataclass(slots=True)
class DeviceFrame:
    """A frame on a device, whose pixels are converted to RGB only when asked for."""

    luma: torch.Tensor
    """(H, W) uint8 or uint16."""
    chroma: torch.Tensor
    """(h, w, 2): blue and red differences, of the same type as luma."""
    red_and_blue: tuple[float, float]
    """Shares of red and blue in luma, which give the colour matrix."""
    full_range: bool
    """Whether luma is 0 to 255; otherwise it is 16 to 235."""
    depth_divisor: int
    """Number that divides a sample to give 8 bits."""
    turns: int
    """How many quarter turns counter-clockwise a player makes to show the frame."""

    @classmethod
    def of(cls, frame: av.VideoFrame, path: str) -> DeviceFrame:
        """Copy the planes of a decoded frame, which frees the decoder's surface: it has only a few.

        Raises:
            NvdecFailed: the frame's format or colour matrix cannot be converted here.
        """
        name = (frame.sw_format or frame.format).name
        if name not in FORMATS:
            raise NvdecFailed.because(path, f"it gives {name} where 4:2:0 is converted on a GPU")
        if frame.colorspace not in RED_AND_BLUE:
            raise NvdecFailed.because(path, f"its colour matrix, number {frame.colorspace}, is not converted on a GPU")
        luma, chroma = (_copied(plane) for plane in frame.planes)
        matrix = BT709 if untagged_hd(frame) else RED_AND_BLUE[frame.colorspace]
        full = frame.color_range == ColorRange.JPEG
        return cls(luma, chroma, matrix, full, FORMATS[name], quarter_turns(frame.rotation))

    def rgb(self) -> np.ndarray:
        """The pixels in memory, (H, W, 3) uint8 RGB, rotated as a player shows them."""
        return np.ascontiguousarray(self.on_device().cpu().numpy())

    def on_device(self) -> torch.Tensor:
        """The pixels on the frame's device, (H, W, 3) uint8 RGB, rotated as a player shows them.

        Values are truncated, not rounded, as in swscale's tables: that comes half a grey level nearer to swscale.
        """
        height, width = self.luma.shape
        blue, red = _upsampled(self.chroma, self.depth_divisor, height, width).sub_(128)
        luma = self.luma.float().div_(self.depth_divisor)
        if not self.full_range:
            luma.sub_(16).mul_(255 / 219)
            red.mul_(255 / 224)
            blue.mul_(255 / 224)
        of_red, of_blue = self.red_and_blue
        of_green = 1 - of_red - of_blue
        pixels = torch.stack(
            [
                luma + 2 * (1 - of_red) * red,
                luma - 2 / of_green * (of_red * (1 - of_red) * red + of_blue * (1 - of_blue) * blue),
                luma + 2 * (1 - of_blue) * blue,
            ]
        )
        return torch.rot90(pixels.clamp_(0, 255).byte(), self.turns, (1, 2)).permute(1, 2, 0)


def _copied(plane: av.video.plane.VideoPlane) -> torch.Tensor:
    """Copy a plane on its device.

    `torch.from_dlpack(plane)` would name a CUDA stream, which PyAV refuses, so `__dlpack__` is called without one. This
    is safe: FFmpeg fills its surfaces on the context's legacy default stream and torch copies on the same one, so a
    surface cannot be filled anew before it is copied.
    """
    return torch.from_dlpack(plane.__dlpack__()).clone(memory_format=torch.contiguous_format)


def _upsampled(chroma: torch.Tensor, divisor: int, height: int, width: int) -> torch.Tensor:
    """Bring chroma to the size of luma, as swscale does: (2, height, width) float, on the scale of 8 bits.

    Samples of 8 bits are repeated. Deeper ones are interpolated between rows, and by a quarter of a sample to the
    right, since a chroma sample belongs to the left one of its two pixels.
    """
    samples = (chroma.float() / divisor).permute(2, 0, 1)[None]
    missing = (0, (width + 1) // 2 - samples.shape[-1], 0, (height + 1) // 2 - samples.shape[-2])
    samples = functional.pad(samples, missing, mode="replicate")
    if divisor == 1:
        full = functional.interpolate(samples, scale_factor=2, mode="nearest")
    else:
        right = torch.cat([samples[..., 1:], samples[..., -1:]], dim=-1)
        rows = functional.interpolate(0.75 * samples + 0.25 * right, scale_factor=(2, 1), mode="bilinear")
        full = rows.repeat_interleave(2, dim=-1)
    return full[0, :, :height, :width]
