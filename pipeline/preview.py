"""H.264 files that every browser plays: how frames are encoded, and how their times are written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.reader import THREADS_VARIABLE

ENCODER = "libx264"
CLOCK_HZ = 90_000  # ticks of a second in the files written: times are right to 6 us
GOP_FRAMES = 16  # from one key frame to the next: seeking decodes no more than this
QUALITY = 26  # x264's CRF
SPEED = "veryfast"
BT601 = 6  # SMPTE 170M, as the matrix, primaries and transfer of what is written
MP4 = "mp4"
FAST_START = {"movflags": "+faststart"}  # the index first: a browser plays before it has read all of it


class FrameFile:
    """An mp4 file of frames without their times yet: `retimed` gives them.

    Args:
        path: the file.
        size: width and height, even, px.

    Raises:
        ConfigError: this build of PyAV cannot write H.264.
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, size: tuple[int, int]):
        try:
            codec = av.codec.Codec(ENCODER, "w")
        except av.error.FFmpegError as error:
            raise ConfigError(f"this PyAV lacks {ENCODER}, which writes H.264: install PyAV from PyPI") from error
        self._container = av.open(str(path), "w", format=MP4)
        self._stream = self._container.add_stream(codec.name, rate=Fraction(GOP_FRAMES))
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        # without B-frames packets come in the order of frames, so that their times can be put in afterwards
        self._stream.options = {"crf": str(QUALITY), "preset": SPEED, "bf": "0"}
        context = self._stream.codec_context
        context.gop_size = GOP_FRAMES
        context.thread_count = int(os.environ.get(THREADS_VARIABLE) or 0)
        context.colorspace = context.color_primaries = context.color_trc = BT601
        context.color_range = ColorRange.MPEG
        self._size = size
        self.n_frames = 0

    def add(self, rgb: np.ndarray) -> None:
        """Encode one more frame, (H, W, 3) uint8 of the file's size."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG)
        frame.pts = self.n_frames
        frame.time_base = 1 / Fraction(GOP_FRAMES)
        self._container.mux(self._stream.encode(frame))
        self.n_frames += 1

    def close(self) -> None:
        """Finish the file."""
        if self.n_frames:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def retimed(frames: Path, target: Path, *, seconds: np.ndarray, last_seconds: float) -> None:
    """Copy a `FrameFile` with the times of its frames.

    Args:
        frames: the finished file, F frames.
        target: the file to write.
        seconds: (F,) when each frame begins, not decreasing, the first at 0.
        last_seconds: how long the last one is shown.

    Raises:
        OSError: the file cannot be written.
    """
    stamps = ticks(seconds)
    ends = np.append(stamps[1:], stamps[-1] + max(1, round(last_seconds * CLOCK_HZ)))
    with av.open(str(frames)) as source, av.open(str(target), "w", format=MP4, options=FAST_START) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        stream.time_base = Fraction(1, CLOCK_HZ)
        packets = (packet for packet in source.demux(video=0) if packet.size)
        for packet, start, end in zip(packets, stamps.tolist(), ends.tolist(), strict=True):
            packet.stream = stream
            packet.time_base = stream.time_base
            packet.pts = packet.dts = start
            packet.duration = end - start
            out.mux(packet)


def ticks(seconds: Iterable[float]) -> np.ndarray:
    """Times in units of the clock, (F,) int64, strictly increasing: no two frames of a file may share one."""
    stamps = np.rint(np.asarray(seconds, np.float64) * CLOCK_HZ).astype(np.int64)
    steps = np.arange(len(stamps))
    return np.maximum.accumulate(stamps - steps) + steps


def even(size: tuple[float, float]) -> tuple[int, int]:
    """A size that 4:2:0 can hold: even, 2 px at least."""
    return tuple(max(2, 2 * round(side / 2)) for side in size)


def scaled(size: tuple[int, int], height: int) -> tuple[int, int]:
    """Width and height of a picture brought down to `height`, aspect kept; never enlarged, even."""
    factor = min(1.0, height / size[1])
    return even((size[0] * factor, size[1] * factor))
