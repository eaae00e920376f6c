"""Encodes frames as a video and decodes them again, to see how much pixels differ between copies of a video."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

CODEC, CRF, FORMAT = "libx264", 23, "matroska"  # x264's default, with which most footage on the web was encoded
FPS = Fraction(25)


def reencoded(frames: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Encode frames (number -> (H, W, 3) uint8 RGB) in order as one H.264 video; return them decoded again."""
    numbers = sorted(frames)
    height, width = frames[numbers[0]].shape[:2]
    file = io.BytesIO()
    with av.open(file, "w", format=FORMAT) as container:
        stream = container.add_stream(CODEC, rate=FPS, options={"crf": str(CRF)})
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"  # half a pixel of colour there is not
        for number in numbers:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[number]), "rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return dict(zip(numbers, decoded, strict=True))
